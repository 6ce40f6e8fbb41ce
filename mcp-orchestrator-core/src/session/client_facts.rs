//! The client facts of a legacy `initialize`, reduced to what a session keeps.

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, ParamsHead, text};
use crate::limits::{MAX_CAPABILITIES_LEN, MAX_CLIENT_INFO_LEN, MAX_CLIENT_NAME_LEN};
use crate::transport::ClientFacts;

/// Reads the client's info and capabilities from the parameters of `initialize`.
///
/// # Errors
/// [`InvalidParams`](ErrorKind::InvalidParams) if the capabilities are longer than any real client's.
pub(crate) fn declared(head: &ParamsHead<'_>) -> Result<ClientFacts> {
    let info = head
        .client_info
        .map_or("{\"name\":\"unknown\",\"version\":\"0\"}", |info| {
            info.get()
        });
    let capabilities = head
        .capabilities
        .map(|raw| raw.get())
        .filter(|text| text.starts_with('{'))
        .unwrap_or("{}");
    if capabilities.len() > MAX_CAPABILITIES_LEN {
        let text = format!("params.capabilities is longer than {MAX_CAPABILITIES_LEN} bytes");
        return Err(Error::new(ErrorKind::InvalidParams, text));
    }
    let info = if info.len() > MAX_CLIENT_INFO_LEN {
        shortened(info, MAX_CLIENT_NAME_LEN)
    } else {
        info.to_owned()
    };
    Ok(ClientFacts {
        info,
        capabilities: capabilities.to_owned(),
        log_level: None,
    })
}

/// Reduces a `clientInfo` to the members that identify the client, each with at most `max_len` bytes. Icons are what
/// makes it long.
pub(super) fn shortened(info: &str, max_len: usize) -> String {
    let members = Members::read(info).unwrap_or_default();
    let word = |name: &str| {
        let word = members.get(name).and_then(text)?;
        Some(word[..word.floor_char_boundary(max_len)].to_owned())
    };
    let mut short = json!({
        "name": word("name").unwrap_or_else(|| "unknown".to_owned()),
        "version": word("version").unwrap_or_else(|| "0".to_owned()),
    });
    if let Some(title) = word("title") {
        short["title"] = title.into();
    }
    short.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &str) -> Result<ClientFacts> {
        declared(&ParamsHead::read(Some(params)).unwrap())
    }

    #[test]
    fn short_client_info_is_kept_verbatim() {
        let facts =
            read(r#"{"clientInfo":{"name":"a", "x":[1]},"capabilities":{"roots":{ }}}"#).unwrap();
        assert_eq!(facts.info, r#"{"name":"a", "x":[1]}"#);
        assert_eq!(facts.capabilities, r#"{"roots":{ }}"#);
        assert_eq!(read("{}").unwrap().capabilities, "{}");
    }

    #[test]
    fn long_client_info_is_reduced_to_its_text_members() {
        let icon = "x".repeat(1 << 20);
        let (name, title) = ("é".repeat(1000), "t");
        let info =
            json!({ "name": name, "version": 7, "title": title, "icons": [{ "src": icon }] });
        let facts = read(&json!({ "clientInfo": info }).to_string()).unwrap();
        let short: serde_json::Value = serde_json::from_str(&facts.info).unwrap();
        assert_eq!(
            short,
            json!({ "name": "é".repeat(128), "version": "0", "title": "t" })
        );
        let long = format!("{{\"clientInfo\":\"{icon}\"}}");
        assert!(read(&long).unwrap().info.len() < 100);
    }

    #[test]
    fn oversized_capabilities_are_rejected() {
        let long = json!({ "capabilities": { "experimental": { "x": "y".repeat(20_000) } } });
        let error = read(&long.to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParams);
    }
}
