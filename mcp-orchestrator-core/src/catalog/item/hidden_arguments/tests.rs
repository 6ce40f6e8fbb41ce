use super::*;

fn fixed(names: &[&str]) -> FixedArguments {
    let start = FixedArguments::default();
    let value = crate::jsonrpc::raw(&1);
    names
        .iter()
        .fold(start, |all, name| all.with(*name, &value))
}

fn hidden(schema: &str, names: &[&str]) -> String {
    let whole = bytes::Bytes::copy_from_slice(schema.as_bytes());
    let mut edits = Splice::new();
    let text = std::str::from_utf8(&whole).unwrap();
    hide(&mut edits, &whole, text, &fixed(names));
    let out = String::from_utf8(edits.apply(&whole).to_vec()).unwrap();
    serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{out}: {error}"));
    out
}

#[test]
fn only_hidden_arguments_are_removed() {
    for (schema, names, out) in [
        (
            r#"{"type":"object", "properties" : { "a":{"x":1e99} , "b" : {} },"required":["a","b"]}"#,
            &["b"][..],
            r#"{"type":"object", "properties" : { "a":{"x":1e99} },"required":["a"]}"#,
        ),
        (
            r#"{"properties":{"a":{},"b":{}},"required":["b","a"],"type":"object"}"#,
            &["a", "b"],
            r#"{"properties":{},"type":"object"}"#,
        ),
        (
            r#"{"required":["a"],"properties":{"a":{}}}"#,
            &["a"],
            r#"{"properties":{}}"#,
        ),
        (r#"{"required":["a"]}"#, &["a"], "{}"),
        (
            r#"{"properties":{"\u0061":{},"b":{}},"required":["\u0061","b"]}"#,
            &["a"],
            r#"{"properties":{"b":{}},"required":["b"]}"#,
        ),
        (
            r#"{"properties":{"b":{"properties":{"a":{}},"required":["a"]}},"required":["b"]}"#,
            &["a"],
            r#"{"properties":{"b":{"properties":{"a":{}},"required":["a"]}},"required":["b"]}"#,
        ),
        (
            r#"{"allOf":[{"properties":{"a":{},"b":{}},"required":["a"]},{"allOf":[{"properties":{"a":{}}}]}]}"#,
            &["a"],
            r#"{"allOf":[{"properties":{"b":{}}},{"allOf":[{"properties":{}}]}]}"#,
        ),
        (
            r#"{"properties":{"é\"x":{},"b":{}}}"#,
            &["é\"x"],
            r#"{"properties":{"b":{}}}"#,
        ),
        ("{}", &["a"], "{}"),
        (
            r#"{"properties":1,"required":"a","allOf":{}}"#,
            &["a"],
            r#"{"properties":1,"required":"a","allOf":{}}"#,
        ),
    ] {
        assert_eq!(hidden(schema, names), out, "{schema}");
    }
}

#[test]
fn arguments_that_a_schema_names_elsewhere_are_reported() {
    for (schema, found) in [
        (r#"{"properties":{"a":{}},"required":["a"]}"#, None),
        (r#"{"allOf":[{"properties":{"a":{}}}]}"#, None),
        (r#"{"properties":{"b":{}}}"#, Some(Leftover::Unknown)),
        ("{}", Some(Leftover::Unknown)),
        (
            r#"{"properties":{"b":{"properties":{"a":{}}}}}"#,
            Some(Leftover::Unknown),
        ),
        (
            r#"{"properties":{"a":{}},"oneOf":[{"properties":{"b":{}}},{"required":["a"]}]}"#,
            Some(Leftover::Named("oneOf")),
        ),
        (
            r#"{"properties":{"a":{}},"anyOf":[{"allOf":[{"required":["a"]}]}]}"#,
            Some(Leftover::Named("anyOf")),
        ),
        (
            r#"{"properties":{"a":{}},"if":{"properties":{"a":{"const":1}}}}"#,
            Some(Leftover::Named("if")),
        ),
        (
            r#"{"properties":{"a":{}},"not":{"required":["a"]}}"#,
            Some(Leftover::Named("not")),
        ),
        (
            r#"{"properties":{"a":{}},"dependentRequired":{"b":["a"]}}"#,
            Some(Leftover::Named("dependentRequired")),
        ),
        (
            r#"{"properties":{"a":{}},"dependencies":{"a":["b"]}}"#,
            Some(Leftover::Named("dependencies")),
        ),
        (
            r##"{"$ref":"#/$defs/args","$defs":{"args":{"properties":{"a":{}}}}}"##,
            Some(Leftover::Named("$ref")),
        ),
        (
            r##"{"properties":{"a":{}},"$ref":"#/$defs/args","$defs":{"args":{"properties":{"b":{}},"$ref":"#"}}}"##,
            None,
        ),
        (
            r#"{"properties":{"a":{}},"$ref":"https://example.com/x"}"#,
            Some(Leftover::Named("$ref")),
        ),
        (
            r##"{"allOf":[{"$ref":"#/$defs/args"}],"$defs":{"args":{"required":["a"]}}}"##,
            Some(Leftover::Named("allOf")),
        ),
    ] {
        let all = leftovers(schema, &fixed(&["a"]));
        let expected: Vec<_> = found.map(|one| ("a".to_owned(), one)).into_iter().collect();
        assert_eq!(all, expected, "{schema}");
    }
}

#[test]
fn long_chains_and_circles_of_references_are_followed_in_a_loop() {
    let mut definitions: Vec<String> = (0..20_000)
        .map(|n| format!(r##""{n}":{{"$ref":"#/$defs/{}"}}"##, n + 1))
        .collect();
    definitions.push(r##""20000":{"anyOf":[{"$ref":"#/$defs/0"},{"$ref":"#"}]}"##.to_owned());
    let schema = format!(
        r##"{{"properties":{{"a":{{}}}},"$ref":"#/$defs/0","$defs":{{{}}}}}"##,
        definitions.join(",")
    );
    assert_eq!(leftovers(&schema, &fixed(&["a"])), []);
}
