//! The JSON-RPC message scanner and splicer.

use std::cell::Cell;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::jsonrpc::{Members, Message, ParseError, Splice};

/// Checks that the scanner agrees with another JSON parser on what is valid JSON, and on the members of a message.
///
/// # Panics
/// If they disagree.
pub fn scan(input: &[u8]) {
    let bare = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let valid = serde_json::from_slice::<&RawValue>(bare).is_ok();
    let parsed = Message::parse(Bytes::copy_from_slice(input));
    let refused = matches!(parsed, Err(ParseError::Json(_)));
    assert_eq!(refused, !valid, "JSON or not");
    let _ = Message::received_all(&Bytes::copy_from_slice(input));
    let Ok(message) = parsed else { return };
    let whole = std::str::from_utf8(message.bytes()).expect("a message is UTF-8");
    // A name with the escape of half a surrogate pair is JSON and no text.
    let Some(members) = Members::read(whole) else {
        return;
    };
    let id = members.get("id").filter(|id| *id != "null");
    assert_eq!(message.id(), id);
    let bodies = ["params", "result", "error"].map(|name| members.get(name));
    assert!(message.body().is_none() || bodies.contains(&message.body()));
}

/// Checks that a spliced message is valid JSON and differs only where it was changed.
///
/// # Panics
/// If the message is invalid or differs elsewhere.
pub fn splice(input: &[u8]) {
    let (choice, rest) = input.split_first().unwrap_or((&0, input));
    let Ok(message) = Message::parse(Bytes::copy_from_slice(rest)) else {
        return;
    };
    let renamed = message.with_id(b"\"fuzz\"");
    check(&renamed);
    assert_eq!(
        (renamed.method(), renamed.body()),
        (message.method(), message.body())
    );
    if message.id_span().is_some() {
        assert_eq!(renamed.id(), Some("\"fuzz\""));
    }
    let body = message.body().filter(|body| body.starts_with('{'));
    let (Some(body), Some(span)) = (body, message.body_span()) else {
        return;
    };
    // A name with the escape of half a surrogate pair is JSON and no text: such an object is not edited.
    let Some(members) = Members::read(body) else {
        return;
    };
    let mut index = 0_u8;
    let mut splice = Splice::new();
    let removed: Vec<bool> = members
        .0
        .iter()
        .map(|_| {
            index = index.wrapping_add(1);
            choice >> (index % 8) & 1 == 1
        })
        .collect();
    let asked = Cell::new(0);
    splice.remove_members(message.bytes(), &members, |_| {
        let index = asked.replace(asked.get() + 1);
        removed.get(index).copied().unwrap_or(false)
    });
    let all_removed = removed.iter().all(|removed| *removed);
    if !all_removed {
        splice.insert_member(message.bytes(), &span, "fuzz", "[1]");
    }
    let changed = message.spliced(&splice);
    check(&changed);
    assert_eq!(changed.id(), message.id());
    let kept: Vec<&str> = members
        .0
        .iter()
        .zip(&removed)
        .filter(|(_, removed)| !**removed)
        .map(|((_, value), _)| value.get())
        .collect();
    let after = Members::read(changed.body().unwrap_or_default()).expect("it stays an object");
    let after: Vec<&str> = after.0.iter().map(|(_, value)| value.get()).collect();
    let inserted = usize::from(!all_removed);
    assert_eq!(after[inserted.min(after.len())..], kept[..]);
}

fn check(message: &Message) {
    let again = Message::parse(message.bytes().clone()).expect("a changed message is a message");
    assert_eq!(
        (again.kind(), again.id(), again.body()),
        (message.kind(), message.id(), message.body())
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_accept_any_message() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"b":{},"c":[2]}}"#,
            r#" { "params" : { } , "jsonrpc":"2.0" , "method" : "y" } "#,
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":"\"}"}}"#,
            "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":\"\",\"result\":null}",
            "[1,",
            "",
        ] {
            scan(text.as_bytes());
            for choice in [0, 1, 2, 7, 85, 255] {
                splice(&[&[choice][..], text.as_bytes()].concat());
            }
        }
        scan(b"\"\xff\"");
    }
}
