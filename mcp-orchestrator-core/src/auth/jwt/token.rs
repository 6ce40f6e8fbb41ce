//! A token taken apart (RFC 7515, compact form). Nothing in it is believed before its signature was checked; its issuer
//! is read before, to tell whose it is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::errors::JwtError;
use crate::auth::Algorithm;

/// A longer token is none of ours.
const LONGEST: usize = 16 * 1024;

/// The token of a request, as `Authorization: Bearer …` has it.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= LONGEST;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// A token's parts, with the claims that it makes.
pub(super) struct Token<'t> {
    /// What is signed.
    pub(super) message: &'t str,
    header: Vec<u8>,
    /// What it says, not yet to be believed.
    pub(super) claims: Map<String, Value>,
    signature: &'t str,
}

/// How it says that it is signed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A header that can be used.
pub(super) struct Signature {
    pub(super) algorithm: Algorithm,
    pub(super) key: Option<String>,
    pub(super) bytes: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a token apart; `None` where it is no JWT.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        Some(Self {
            message,
            header,
            claims: self::claims(&claims)?,
            signature,
        })
    }

    /// Who says that it made the token.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// How it is signed, where that is allowed.
    pub(super) fn signature(&self, allowed: &[Algorithm]) -> Result<Signature, JwtError> {
        let header: Header = serde_json::from_slice(&self.header).map_err(|_| JwtError::Header)?;
        let algorithm = Algorithm::named(&header.alg)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or_else(|| JwtError::Algorithm(shown(&header.alg)))?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        // An access token, or a plain JWT; not a logout token, a proof or whatever else an issuer signs.
        if let Some(kind) = header.typ {
            let known = ["JWT", "at+jwt", "application/at+jwt"];
            if !known.iter().any(|known| known.eq_ignore_ascii_case(&kind)) {
                return Err(JwtError::Type(shown(&kind)));
            }
        }
        let bytes = URL_SAFE_NO_PAD.decode(self.signature);
        Ok(Signature {
            algorithm,
            key: header.kid,
            bytes: bytes.map_err(|_| JwtError::Signature)?,
        })
    }
}

/// The claims of a token, of which none that cannot be read spoils the others: it is there, and `null`.
pub(super) fn claims(json: &[u8]) -> Option<Map<String, Value>> {
    if let Ok(claims) = serde_json::from_slice(json) {
        return Some(claims);
    }
    let each = serde_json::from_slice::<BTreeMap<String, &RawValue>>(json).ok()?;
    let each = each.into_iter();
    let read = each.map(|(name, raw)| (name, serde_json::from_str(raw.get()).unwrap_or_default()));
    Some(read.collect())
}

/// A word of the token in a message: short, and visible characters only.
fn shown(word: &str) -> String {
    word.chars()
        .filter(char::is_ascii_graphic)
        .take(20)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Parts {
        let request = http::Request::builder().header(AUTHORIZATION, value);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_bearer_is_found_in_any_case() {
        for (value, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer  x ", Some("x")),
            ("Basic a.b.c", None),
            ("Bearer", None),
            ("Bearer ", None),
        ] {
            assert_eq!(bearer(&parts(value)), token, "{value}");
        }
        let long = format!("Bearer {}", "x".repeat(LONGEST + 1));
        assert_eq!(bearer(&parts(&long)), None);
    }

    #[test]
    fn what_has_not_three_parts_is_no_jwt() {
        let object = URL_SAFE_NO_PAD.encode("{}");
        assert!(Token::parse(&format!("{object}.{object}.")).is_some());
        for text in [
            "x".to_owned(),
            format!("{object}.{object}"),
            format!("{object}.{object}.x.y"),
            format!("{object}.{}.x", URL_SAFE_NO_PAD.encode("[]")),
            "!.!.!".to_owned(),
        ] {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }
}
