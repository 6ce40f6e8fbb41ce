//! Which items clients accept, and how others are repaired.

use super::*;

fn read(kind: ItemKind, raw: &str) -> Result<String, Refusal> {
    let read = KeptItem::read(kind, raw)?;
    let raw = std::str::from_utf8(&read.item.raw).unwrap().to_owned();
    let span = &raw[read.item.name_span.clone()];
    assert_eq!(decoded(span).as_deref(), Some(&read.item.name[..]));
    Ok(raw)
}

fn tool(properties: &str) -> Result<Read, Refusal> {
    let raw =
        format!(r#"{{"name":"t","inputSchema":{{"type":"object","properties":{properties}}}}}"#);
    KeptItem::read(ItemKind::Tool, &raw)
}

#[test]
fn header_annotations_are_checked() {
    let nested = r#"{"a":{"type":"string","x-mcp-header":"A"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}"#;
    let params = tool(nested).unwrap().item.params;
    assert_eq!(params.len(), 2);
    assert_eq!(params[1].path, ["o", "n"]);
    for wrong in [
        r#"{"a":{"type":"string","x-mcp-header":""}}"#,
        r#"{"a":{"type":"string","x-mcp-header":"a b"}}"#,
        r#"{"a":{"type":"string","x-mcp-header":7}}"#,
        r#"{"a":{"type":"object","x-mcp-header":"A"}}"#,
        r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
        r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#,
    ] {
        assert_eq!(tool(wrong).unwrap_err(), Refusal::Header, "{wrong}");
    }
}

#[test]
fn valid_items_are_kept_verbatim() {
    for (kind, raw) in [
        (
            ItemKind::Tool,
            r#"{ "z":1e99, "name" : "a\/b", "inputSchema" : { "type":"object" , "properties":{"x":{"type":"string"}}, "required":["x"], "oneOf":[true] } }"#,
        ),
        (
            ItemKind::Tool,
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"annotations":{"title":"T","readOnlyHint":true,"own":7},"icons":[{"src":"data:x","sizes":["1x1"],"theme":"dark"}],"execution":{"taskSupport":"optional"},"_meta":{"a":null}}"#,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":[{"name":"a","required":true,"x":null}],"description":""}"#,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","title":"\ud83d\ude00 \\ud83d"}"#,
        ),
        (
            ItemKind::Resource,
            r#"{"uri":"mem://a","name":"","size":3,"annotations":{"audience":["user"],"priority":0.5,"lastModified":"2026-01-02T03:04:05.6+01:00"}}"#,
        ),
        (
            ItemKind::Template,
            r#"{"uriTemplate":"mem://{a}","name":"n","mimeType":"text/plain"}"#,
        ),
    ] {
        assert_eq!(read(kind, raw).as_deref(), Ok(raw));
        assert!(
            KeptItem::read(kind, raw).unwrap().removed.is_empty(),
            "{raw}"
        );
    }
}

#[test]
fn tools_without_a_usable_schema_are_dropped() {
    for (raw, why) in [
        (r#"{"name":"t"}"#, Refusal::Missing("inputSchema")),
        (r#"{"name":"t","inputSchema":null}"#, Refusal::Schema),
        (r#"{"name":"t","inputSchema":"x"}"#, Refusal::Schema),
        (r#"{"name":"t","inputSchema":[]}"#, Refusal::Schema),
        (r#"{"name":"t","inputSchema":true}"#, Refusal::Schema),
        (
            r#"{"name":"t","inputSchema":{"type":"string"}}"#,
            Refusal::Schema,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":["string","null"]}}"#,
            Refusal::Schema,
        ),
        (r#"{"name":"t","inputSchema":{"type":7}}"#, Refusal::Schema),
        (
            r#"{"name":"t","inputSchema":{"type":"object","type":"string"}}"#,
            Refusal::Schema,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":"x"}}"#,
            Refusal::Schema,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":["x"]}}"#,
            Refusal::Schema,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":"string"}}}"#,
            Refusal::Schema,
        ),
        (
            r#"{"name":"","inputSchema":{"type":"object"}}"#,
            Refusal::Missing("name"),
        ),
        (
            r#"{"name":7,"inputSchema":{"type":"object"}}"#,
            Refusal::Missing("name"),
        ),
        (
            r#"{"name":"a","name":"b","inputSchema":{"type":"object"}}"#,
            Refusal::Twice,
        ),
        (
            r#"{"name":"a","n\u0061me":"b","inputSchema":{"type":"object"}}"#,
            Refusal::Twice,
        ),
        (r#""t""#, Refusal::NotAnObject),
        ("null", Refusal::NotAnObject),
    ] {
        assert_eq!(read(ItemKind::Tool, raw), Err(why), "{raw}");
    }
}

#[test]
fn equivalent_schemas_are_normalized_for_clients() {
    for (given, mended) in [
        (r#"{}"#, r#"{"type":"object"}"#),
        (r#"{"type":null}"#, r#"{"type":"object"}"#),
        (
            r#"{"type":["null","object"],"a":1}"#,
            r#"{"type":"object","a":1}"#,
        ),
        (
            r#"{ "properties": {"a":true,"b":false} }"#,
            r#"{"type":"object","properties":{"a":{},"b":{"not":{}}}}"#,
        ),
        (
            r#"{"type":"object","properties":[]}"#,
            r#"{"type":"object","properties":{}}"#,
        ),
        (
            r#"{"type":"object","properties":null,"required":null}"#,
            r#"{"type":"object"}"#,
        ),
        (
            r#"{"type":"object","required":"x"}"#,
            r#"{"type":"object"}"#,
        ),
    ] {
        let raw = format!(r#"{{"name":"t","inputSchema":{given}}}"#);
        let right = format!(r#"{{"name":"t","inputSchema":{mended}}}"#);
        assert_eq!(read(ItemKind::Tool, &raw), Ok(right));
    }
    let nulls = r#"{"description":null,"title":null,"name":"t","inputSchema":{"type":"object"},"outputSchema":null,"annotations":null,"icons":null,"_meta":null,"execution":null}"#;
    let bare = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
    assert_eq!(read(ItemKind::Tool, nulls).as_deref(), Ok(bare));
    assert!(
        KeptItem::read(ItemKind::Tool, nulls)
            .unwrap()
            .removed
            .is_empty()
    );
}

#[test]
fn invalid_optional_members_are_removed_and_reported() {
    let raw = r#"{"name":"t","description":7,"inputSchema":{"type":"object"},"outputSchema":"x","annotations":{"readOnlyHint":"yes","title":"T"},"icons":[{"href":"x"}],"_meta":[],"execution":{"taskSupport":"never"}}"#;
    let read_back = KeptItem::read(ItemKind::Tool, raw).unwrap();
    let right = r#"{"name":"t","inputSchema":{"type":"object"},"annotations":{"title":"T"},"execution":{}}"#;
    assert_eq!(read_back.item.raw, right);
    assert_eq!(
        read_back.removed,
        [
            "description",
            "outputSchema",
            "readOnlyHint",
            "icons",
            "_meta",
            "taskSupport"
        ]
    );
    assert!(!read_back.item.hints.read_only);
    let raw = r#"{"uri":"mem://a","name":"a","size":1.5,"mimeType":[],"annotations":{"priority":2,"audience":["all"],"lastModified":"2026-13-02T03:04:05Z"}}"#;
    let right = r#"{"uri":"mem://a","name":"a","annotations":{}}"#;
    assert_eq!(read(ItemKind::Resource, raw).as_deref(), Ok(right));
}

#[test]
fn prompt_arguments_are_validated() {
    let arguments: Result<&str, _> = Err(Refusal::Arguments);
    for (kind, raw, result) in [
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":{"a":1}}"#,
            arguments,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":"a"}"#,
            arguments,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":["a"]}"#,
            arguments,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":[{"title":"a"}]}"#,
            arguments,
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":null}"#,
            Ok(r#"{"name":"p"}"#),
        ),
        (
            ItemKind::Prompt,
            r#"{"name":"p","arguments":[{"name":"a","description":null,"required":"yes"}]}"#,
            Ok(r#"{"name":"p","arguments":[{"name":"a"}]}"#),
        ),
        (
            ItemKind::Prompt,
            r#"{"title":"p"}"#,
            Err(Refusal::Missing("name")),
        ),
    ] {
        assert_eq!(read(kind, raw), result.map(str::to_owned), "{raw}");
    }
}

#[test]
fn resources_and_templates_need_a_name_and_a_uri() {
    for (kind, raw, refusal) in [
        (
            ItemKind::Resource,
            r#"{"uri":"mem://a"}"#,
            Refusal::Missing("name"),
        ),
        (
            ItemKind::Resource,
            r#"{"uri":"mem://a","name":null}"#,
            Refusal::Missing("name"),
        ),
        (
            ItemKind::Resource,
            r#"{"name":"a"}"#,
            Refusal::Missing("uri"),
        ),
        (
            ItemKind::Resource,
            r#"{"name":"a","uri":{}}"#,
            Refusal::Missing("uri"),
        ),
        (
            ItemKind::Template,
            r#"{"uriTemplate":"x://{a}"}"#,
            Refusal::Missing("name"),
        ),
        (
            ItemKind::Template,
            r#"{"name":"a"}"#,
            Refusal::Missing("uriTemplate"),
        ),
    ] {
        assert_eq!(read(kind, raw), Err(refusal), "{raw}");
    }
}

#[test]
fn sizes_are_bounded() {
    let named = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let long = read(ItemKind::Tool, &named(&"n".repeat(MAX_NAME_LEN + 1)));
    assert_eq!(long, Err(Refusal::TooLong("name", MAX_NAME_LEN)));
    assert!(read(ItemKind::Tool, &named(&"n".repeat(MAX_NAME_LEN))).is_ok());
    let large = read(ItemKind::Tool, &named(&"n".repeat(MAX_ITEM_BYTES)));
    assert_eq!(large, Err(Refusal::TooLarge));
    let deep = format!(
        r#"{{"name":"t","inputSchema":{{"type":"object","x":{}1{}}}}}"#,
        "[".repeat(MAX_ITEM_DEPTH),
        "]".repeat(MAX_ITEM_DEPTH)
    );
    assert_eq!(read(ItemKind::Tool, &deep), Err(Refusal::TooDeep));
    let template = format!(
        r#"{{"name":"t","uriTemplate":"{}"}}"#,
        "{+a}".repeat(100_000)
    );
    assert!(matches!(
        read(ItemKind::Template, &template),
        Err(Refusal::Template(_))
    ));
    let uri = format!(r#"{{"name":"r","uri":"x:{}"}}"#, "a".repeat(MAX_URI_LEN));
    let refused = read(ItemKind::Resource, &uri);
    assert_eq!(refused, Err(Refusal::TooLong("uri", MAX_URI_LEN)));
}

#[test]
fn lone_surrogates_are_replaced() {
    let raw = r#"{"name":"t","description":"a\ud83d b\\ud83d \udc00\ud83d\ude00","inputSchema":{"type":"object"}}"#;
    let right = r#"{"name":"t","description":"a\ufffd b\\ud83d \ufffd\ud83d\ude00","inputSchema":{"type":"object"}}"#;
    assert_eq!(read(ItemKind::Tool, raw).as_deref(), Ok(right));
    assert_eq!(
        read(ItemKind::Tool, &right.replace("\\ud83d\\ude00", "\\ud83d"))
            .map(|raw| raw.contains("d83d\"")),
        Ok(false)
    );
}

#[test]
fn resources_without_an_absolute_uri_are_not_mixed_with_other_servers() {
    let mixes = |uri: &str| {
        let raw = format!(r#"{{"uri":"{uri}","name":"a"}}"#);
        KeptItem::read(ItemKind::Resource, &raw).unwrap().item.mixes
    };
    for uri in [
        "mem://a",
        "file:///a b",
        "urn:x",
        "a+b-c.d:x",
        "HTTPS://host",
    ] {
        assert!(mixes(uri), "{uri}");
    }
    for uri in ["foo", "/a/b", "1x:a", "a b:c", "http://", "https:"] {
        assert!(!mixes(uri), "{uri}");
    }
}

#[test]
fn output_schemas_that_legacy_clients_reject_are_hidden_from_them() {
    let shown = |output: &str, era| {
        let raw =
            format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{output}}}"#);
        let item = KeptItem::read(ItemKind::Tool, &raw).unwrap().item;
        let (raw, name) = item.shown(era);
        assert_eq!(&raw[name.clone()], b"\"t\"");
        raw.windows(6).any(|part| part == b"output")
    };
    for output in [r#"{"type":"array"}"#, "true", r#"{"anyOf":[{}]}"#] {
        assert!(
            shown(output, Era::Modern) && !shown(output, Era::Legacy),
            "{output}"
        );
    }
    let of_object = r#"{"type":"object","properties":{}}"#;
    assert!(shown(of_object, Era::Legacy));
}
