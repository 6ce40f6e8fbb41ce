//! The headers of every request to a remote server: configured headers and header slots.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::server::{Injection, Remote, ServerSpec};
use crate::value::Text;

/// Headers that describe the connection; setting them would break it.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Renders the headers of this server with this credential. A slot overrides a configured header of the same name.
pub(super) fn render(
    server: &ServerSpec,
    remote: &Remote,
    credential: &Credential,
) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &remote.headers {
        let name = checked_name(server, name)?;
        let value = checked_value(server, &name, value)?;
        headers.insert(name, value);
    }
    for slot in &server.slots {
        let Injection::Header { name, prefix } = &slot.inject else {
            let message = format!(
                "slot {} of server {} cannot reach a remote server: give it a header",
                slot.name, server.id
            );
            return Err(Error::new(ErrorKind::StartFailed, message).with_server(&server.id));
        };
        let name = checked_name(server, name)?;
        if let Some(value) = credential.values.get(&slot.name) {
            let value = Text::secret(format!("{prefix}{}", value.expose_secret()));
            let value = checked_value(server, &name, &value)?;
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

fn checked_name(server: &ServerSpec, name: &str) -> Result<HeaderName> {
    let wrong = match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if OF_THE_CONNECTION.contains(&name) => "belongs to the connection",
        Ok(name) => return Ok(name),
        Err(_) => "is not a header's name",
    };
    let message = format!("header {name:?} of server {} {wrong}", server.id);
    Err(Error::new(ErrorKind::StartFailed, message).with_server(&server.id))
}

fn checked_value(server: &ServerSpec, name: &HeaderName, value: &Text) -> Result<HeaderValue> {
    let Ok(mut header) = HeaderValue::from_str(value.expose()) else {
        let message = format!(
            "the value of header {name} of server {} holds a character that no header may hold",
            server.id
        );
        return Err(Error::new(ErrorKind::StartFailed, message).with_server(&server.id));
    };
    header.set_sensitive(value.is_secret());
    Ok(header)
}
