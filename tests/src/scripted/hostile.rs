//! Tools that break the rules on purpose.

use bytes::Bytes;

use super::Say;
use super::tools::Request;

/// Writes lines to standard output instead of an answer. In `template` `@ID@` is the request's id, `@LONG@` a million
/// letters, and `@FF@` a byte that no UTF-8 has.
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

/// Leaves a process in a session of its own that holds the output open, and ends the program.
#[expect(clippy::exit, reason = "a crash is what was asked for")]
pub(super) fn detach(code: i32) -> ! {
    let _ = std::process::Command::new("setsid")
        .args(["sleep", "60"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    std::process::exit(code)
}

/// A message as a server writes it that has ids of another make (`text` or `point`), or begins with a byte order mark.
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
