//! Tools that deliberately violate the protocol.

use bytes::Bytes;

use super::Say;
use super::tools::Request;

/// Writes lines to standard output instead of a response. In `template`, `@ID@` is the request's id, `@LONG@` a million
/// letters, and `@FF@` a byte that is invalid in UTF-8.
pub(super) fn write(request: &Request, template: &str) {
    let text = template
        .replace("@ID@", &request.id)
        .replace("@LONG@", &"y".repeat(1_000_000));
    let mut bytes = Vec::new();
    for (index, part) in text.split("@FF@").enumerate() {
        if index > 0 {
            bytes.push(0xff);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.push(b'\n');
    let _ = request.call.send(Say::Raw(bytes.into()));
}

/// Leaves a process in a separate session that holds the output open, and exits.
#[expect(clippy::exit, reason = "a crash is what was asked for")]
pub(super) fn detach(code: i32) -> ! {
    let _ = std::process::Command::new("setsid")
        .args(["sleep", "60"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    std::process::exit(code)
}

/// Returns a message with ids in another form (`text` or `point`), or with a byte order mark.
pub fn dressed(message: &Bytes, ids: &str, mark: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).into_owned();
    let head = "{\"jsonrpc\":\"2.0\",\"id\":";
    let text = match (text.strip_prefix(head), ids) {
        (Some(rest), "text" | "point") => {
            let end = rest.find(',').unwrap_or(0);
            let (id, rest) = rest.split_at(end);
            match ids {
                "text" => format!("{head}\"{id}\"{rest}"),
                _ => format!("{head}{id}.0{rest}"),
            }
        }
        _ => text,
    };
    let mut bytes = if mark {
        b"\xef\xbb\xbf".to_vec()
    } else {
        Vec::new()
    };
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
