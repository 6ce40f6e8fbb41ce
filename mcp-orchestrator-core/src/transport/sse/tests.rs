//! Tests of the parser of server-sent events.

use super::*;

fn events(chunks: &[&str]) -> Vec<Event> {
    let mut parser = Parser::new(1000);
    let mut out = Vec::new();
    for chunk in chunks {
        parser.push(Bytes::copy_from_slice(chunk.as_bytes()));
        while let Some(event) = parser.next().unwrap() {
            out.push(event);
        }
    }
    out
}

#[test]
fn events_are_parsed_regardless_of_chunk_boundaries() {
    let text = ": hi\n\nid: 7\nretry: 500\ndata:\n\nevent: message\r\ndata: {\"a\":\r\ndata:1}\r\n\r\ndata: x\n\n";
    let whole = events(&[text]);
    assert_eq!(whole.len(), 3);
    assert_eq!(
        (whole[0].id.as_deref(), whole[0].retry, whole[0].data.len()),
        (Some("7"), Some(500), 0)
    );
    assert_eq!(
        (&whole[1].name[..], &whole[1].data[..]),
        ("message", &b"{\"a\":\n1}"[..])
    );
    for cut in 1..text.len() {
        assert_eq!(events(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
    }
    let bytes: Vec<&str> = text.split_inclusive(|_| true).collect();
    assert_eq!(events(&bytes), whole);
}

#[test]
fn carriage_return_alone_ends_a_line_at_once() {
    assert_eq!(events(&["data: 1\r\r"])[0].data, "1");
    let found = events(&["data: 1\r", "\rdata: 2\r\n\r", "\ndata: 3\r\r\n"]);
    let data: Vec<_> = found.iter().map(|event| &event.data[..]).collect();
    assert_eq!(data, [b"1", b"2", b"3"]);
}

#[test]
fn comments_of_every_length_and_line_end_are_skipped() {
    for end in ["\n", "\r", "\r\n"] {
        let mut text = String::new();
        for length in 0..40 {
            text.push_str(&format!(":{}{end}", "x".repeat(length)));
        }
        let text =
            format!("{text}data: a{end}: {end}data: b{end}:{end}{end}{text}data: c{end}{end}");
        let whole = events(&[&text]);
        let data: Vec<_> = whole.iter().map(|event| &event.data[..]).collect();
        assert_eq!(data, [&b"a\nb"[..], b"c"], "{end:?}");
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            assert_eq!(events(&[first, second]), whole, "{end:?} {at}");
        }
    }
}

#[test]
fn event_without_its_empty_line_is_returned_at_the_end() {
    for (text, data) in [
        ("data: x", Some("x")),
        ("data: x\n", Some("x")),
        ("data: x\r", Some("x")),
        ("data: x\ndata: y", Some("x\ny")),
        ("data: x\n\n", None),
        (": ping", None),
        ("", None),
    ] {
        let mut parser = Parser::new(100);
        parser.push(Bytes::copy_from_slice(text.as_bytes()));
        while parser.next().unwrap().is_some() {}
        let end = parser.end().map(|event| event.data);
        assert_eq!(end.as_deref(), data.map(str::as_bytes), "{text:?}");
    }
}

#[test]
fn endless_event_exceeds_the_limit() {
    let mut parser = Parser::new(10);
    parser.push(Bytes::from_static(b"data: 0123456789abcdef"));
    assert_eq!(parser.next(), Ok(None));
    assert!(parser.is_over());
}

#[test]
fn oversized_event_is_skipped_and_the_next_is_read() {
    let long = format!(
        "data: {{\"result\":\"{}\",\r\ndata: \"id\":7}}\r\n\r\n",
        "x".repeat(300)
    );
    for (text, answers) in [
        (long.clone(), Some("7")),
        (long.replace("\r\n", "\n"), Some("7")),
        (long.replace("\r\n", "\r"), Some("7")),
        (
            format!("id: 1\ndata: [\n{}\n", "data: 1,\n".repeat(100)),
            None,
        ),
    ] {
        let text = format!("{text}data: ok\n\n");
        for cut in (1..text.len()).step_by(7) {
            let mut parser = Parser::new(100);
            let mut seen = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                parser.push(Bytes::copy_from_slice(part.as_bytes()));
                loop {
                    match parser.next() {
                        Ok(Some(event)) => seen.push(Ok(event.data)),
                        Ok(None) => break,
                        Err(error) => seen.push(Err(error.answers)),
                    }
                }
            }
            let expected = [
                Err(answers.map(str::to_owned)),
                Ok(Bytes::from_static(b"ok")),
            ];
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }
}

#[test]
fn byte_order_marks_are_skipped_and_filler_is_counted() {
    let mut parser = Parser::new(100);
    parser.push(Bytes::from_static(
        b"\xef\xbb\xbf: hello\n\n\nid: 1\ndata: x\n\n\xef\xbb\xbfdata: y\n\n",
    ));
    assert_eq!(&parser.next().unwrap().unwrap().data[..], b"x");
    assert!(parser.filler() > 10, "{}", parser.filler());
    parser.fed();
    assert_eq!(&parser.next().unwrap().unwrap().data[..], b"y");
    assert_eq!(parser.filler(), 0);
}
