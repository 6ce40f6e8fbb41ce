//! Builds messages.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;

/// Encodes a text as a JSON string.
pub fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Serializes a value as raw JSON.
///
/// # Panics
/// Does not panic for plain data, which always serializes.
pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("plain data serializes")
}

/// Builds a request. `id` and `params` are JSON.
pub fn request(id: &str, method: &str, params: Option<&str>) -> Bytes {
    write(&[
        ("id", id),
        ("method", &quote(method)),
        ("params", params.unwrap_or_default()),
    ])
}

/// Builds a notification. `params` is JSON.
pub fn notification(method: &str, params: Option<&str>) -> Bytes {
    write(&[
        ("method", &quote(method)),
        ("params", params.unwrap_or_default()),
    ])
}

/// Builds a response. `id` and `result` are JSON.
pub fn response(id: &str, result: &str) -> Bytes {
    write(&[("id", id), ("result", result)])
}

/// Builds an error response. `id` and `data` are JSON.
pub fn error_response(id: &str, code: i64, message: &str, data: Option<&str>) -> Bytes {
    let mut error = format!("{{\"code\":{code},\"message\":{}", quote(message));
    if let Some(data) = data {
        error.push_str(",\"data\":");
        error.push_str(data);
    }
    error.push('}');
    write(&[("id", id), ("error", &error)])
}

fn write(members: &[(&str, &str)]) -> Bytes {
    let size: usize = members
        .iter()
        .map(|(key, value)| key.len() + value.len() + 4)
        .sum();
    let mut out = BytesMut::with_capacity(size + 20);
    out.put_slice(b"{\"jsonrpc\":\"2.0\"");
    for (key, value) in members.iter().filter(|(_, value)| !value.is_empty()) {
        out.put_slice(b",\"");
        out.put_slice(key.as_bytes());
        out.put_slice(b"\":");
        out.put_slice(value.as_bytes());
    }
    out.put_u8(b'}');
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Message};
    use super::*;

    #[test]
    fn written_messages_parse_back() {
        let error = Message::parse(error_response("\"a\"", -1, "say \"no\"", Some("[1]"))).unwrap();
        assert_eq!((error.kind(), error.id()), (Kind::Error, Some("\"a\"")));
        assert_eq!(
            error.body(),
            Some(r#"{"code":-1,"message":"say \"no\"","data":[1]}"#)
        );
        assert_eq!(
            request("1", "ping", None),
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
        );
        assert_eq!(
            Message::parse(notification("x", Some("{}")))
                .unwrap()
                .kind(),
            Kind::Notification
        );
    }
}
