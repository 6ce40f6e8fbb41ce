//! Response to a dynamic client registration (RFC 7591).

use std::time::SystemTime;

use crate::oauth::Members;
use crate::secret_json::SecretText;

/// A registered client.
pub(in crate::credential::oauth) struct Registration {
    pub(in crate::credential::oauth) client_id: String,
    pub(in crate::credential::oauth) client_secret: Option<SecretText>,
    /// When the secret expires. `None`: never, or unknown.
    pub(in crate::credential::oauth) ends: Option<SystemTime>,
    pub(in crate::credential::oauth) auth_method: Option<String>,
    /// The scopes that the client may request. `None`: not declared.
    pub(in crate::credential::oauth) scopes: Option<Vec<String>>,
}

impl Registration {
    /// Parses the response. Returns `None` if it has no `client_id`.
    pub(in crate::credential::oauth) fn read(answer: &[u8]) -> Option<Self> {
        let members = Members::read(answer)?;
        Some(Self {
            client_id: members.text("client_id")?,
            client_secret: members.secret("client_secret"),
            ends: members.time("client_secret_expires_at"),
            auth_method: members.text("token_endpoint_auth_method"),
            scopes: members.words("scope").filter(|scopes| !scopes.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_with_any_timestamp_is_parsed() {
        for at in [
            "18446744073709551615",
            "9223372036854775807",
            "253402300800",
            "1e400",
            "-1",
            "0",
            "1.5",
            "null",
            r#""0""#,
            r#""never""#,
            "[]",
        ] {
            let answer = format!(r#"{{"client_id":77,"client_secret_expires_at":{at}}}"#);
            let read = Registration::read(answer.as_bytes()).unwrap();
            assert_eq!(read.client_id, "77", "{at}");
            assert_eq!(read.ends.is_some(), at == "1.5", "{at}");
        }
        assert!(Registration::read(b"{}").is_none());
        assert!(Registration::read(b"<p>registered</p>").is_none());
    }
}
