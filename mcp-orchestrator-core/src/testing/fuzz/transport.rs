//! Data from servers: HTTP/1 responses, server-sent events, lines of a pipe.
//!
//! The first byte of an input is the size of the pieces in which the remaining bytes are read.

use crate::jsonrpc::{Message, Outline};
use crate::transport::probes;

/// Larger than any input.
const NO_LIMIT: usize = 1 << 30;
/// Small, so that many inputs exceed it.
const SMALL_LIMIT: usize = 64;

fn split(input: &[u8]) -> (usize, &[u8]) {
    match input.split_first() {
        Some((piece, rest)) => (usize::from(*piece).max(1), rest),
        None => (1, input),
    }
}

/// Checks that an HTTP/1 response reads the same in pieces and as a whole.
///
/// # Panics
/// If it does not.
pub fn http1_response(input: &[u8]) {
    let (piece, rest) = split(input);
    let whole = probes::response(rest, rest.len());
    assert_eq!(probes::response(rest, piece), whole);
}

/// Checks that an event stream reads the same in pieces and as a whole, and that a small limit causes no panic.
///
/// # Panics
/// If it does not.
pub fn sse(input: &[u8]) {
    let (piece, rest) = split(input);
    let whole = probes::events(rest, rest.len(), NO_LIMIT);
    assert_eq!(probes::events(rest, piece, NO_LIMIT), whole);
    probes::events(rest, piece, SMALL_LIMIT);
    for (_, _, data) in whole.into_iter().flatten() {
        let _ = Message::received_all(&data);
    }
}

/// Checks that lines read the same in pieces and as a whole, and that the request ID that a line answers does not
/// depend on whether the line is kept.
///
/// # Panics
/// If they do not.
pub fn pipe_lines(input: &[u8]) {
    let (piece, rest) = split(input);
    let whole = probes::lines(rest, rest.len(), NO_LIMIT);
    assert_eq!(probes::lines(rest, piece, NO_LIMIT), whole);
    probes::lines(rest, piece, SMALL_LIMIT);
    for line in whole.into_iter().flatten() {
        let mut outline = Outline::default();
        outline.push(&line);
        let Ok(message) = Message::parse(line) else {
            continue;
        };
        if let Some(answered) = outline.answered() {
            let id = message.id().or(Some("null"));
            assert!(message.is_response() && id == Some(answered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_accept_any_server_output() {
        let json = br#"{"jsonrpc":"2.0","id":7,"result":{"id":8}}"#;
        for piece in [0, 1, 3, 255] {
            let begin = |rest: &[u8]| [&[piece][..], rest].concat();
            http1_response(&begin(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"));
            http1_response(&begin(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ));
            http1_response(&begin(
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08",
            ));
            http1_response(&begin(b"nonsense"));
            sse(&begin(
                &[b": x\r\nid: 1\ndata: ", &json[..], b"\r\n\r\ndata\n\n"].concat(),
            ));
            pipe_lines(&begin(&[&json[..], b"\n\n\xff\n", json, b"\r\n"].concat()));
        }
        http1_response(b"");
        sse(b"");
        pipe_lines(b"");
    }
}
