//! No input panics.

use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy};

use std::path::Path;

use super::load_as;
use crate::config::{
    IfPresent, ImportOptions, ImportValues, ServerEntry, TextOr, Typed, add_to_text, import_text,
};
use crate::id::ServerId;

/// Fragments that files are composed of, mostly invalid ones.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "servers:",
        "\n  a:",
        "\n    command: ",
        "[sh, -c]",
        "sh",
        "\n    env: {A: ",
        "${A}",
        "\"${A:-x}\"",
        "}",
        "{",
        "]",
        "[",
        "\n    url: ",
        "https://h/",
        "\n    timeout: ",
        "5m",
        "1h30",
        "\n    credentials:\n      - name: t",
        "\n        env: X",
        "\ngateways:\n  default:\n    servers: [",
        "a",
        ",",
        "\n",
        "  ",
        "\t",
        "- ",
        ": ",
        "&x ",
        "*x",
        "<<: *x",
        "| ",
        "> ",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "!!str ",
        "? ",
        "\u{feff}",
        "\u{0}",
        "é",
        "mcpServers: ",
        "{\"mcpServers\":{\"a\":{",
        "\"command\":\"sh\"",
        "\"type\":\"http\"",
        "//",
        "/*",
        "*/",
        "\\",
        "${input:x}",
        "\nlisten: 1.2.3.4:5",
        "%YAML 1.2\n",
    ];
    let word = (0..words.len()).prop_map(move |index| words[index].to_owned());
    let piece = prop_oneof![8 => word, 1 => ".{0,8}".prop_map(String::from), 1 => Just("\n    ".to_owned())];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Values that YAML could read as another type.
fn value() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "null",
        "~",
        "true",
        "1",
        "1.10",
        "0x1f",
        "yes",
        " x",
        "x ",
        "a: b",
        "a #b",
        "#x",
        "!x",
        "&x",
        "*x",
        "%x",
        "@x",
        "`x",
        "-",
        "- x",
        "?",
        "|",
        ">",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "<<",
        "a\nb",
        "\n",
        "a\n\n",
        "\t",
        "---",
        "...",
        "${A}",
        "$${A}",
        "é",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\r",
        "\r\n",
        "\u{1}",
        "2024-01-01",
        ".inf",
        "=",
    ];
    let odd = (0..odd.len()).prop_map(move |index| odd[index].to_owned());
    prop_oneof![3 => odd, 1 => "[ -~]{0,120}", 1 => ".{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loading_arbitrary_text_does_not_panic(text in pieces()) {
        let _ = load_as(&[("c.yaml", &text)]);
        let _ = load_as(&[("c.json", &text), ("mcp.json", &text)]);
    }

    #[test]
    fn editing_or_importing_arbitrary_text_does_not_panic(text in pieces(), json in any::<bool>()) {
        let file = Path::new(if json { "c.json" } else { "c.yaml" });
        let id = ServerId::new("a").unwrap();
        let entry = ServerEntry { command: Some(TextOr::Text("sh".into())), ..ServerEntry::default() };
        if let Ok((now, _)) = add_to_text(file, &text, &[(id, entry)], IfPresent::Replace) {
            proptest::prop_assert!(now.contains("sh"));
        }
        for values in [ImportValues::Reference, ImportValues::Keep] {
            let _ = import_text(file, &text, &ImportOptions { values, ..ImportOptions::default() });
        }
    }

    #[test]
    fn written_values_are_read_back(texts in proptest::collection::vec(value(), 1..6), json in any::<bool>()) {
        let file = Path::new(if json { "c.json" } else { "c.yaml" });
        let command = texts.iter().map(|text| Typed(text.clone())).collect();
        let env = texts.iter().enumerate().map(|(index, text)| (format!("V{index}"), Typed(text.clone())));
        let entry = ServerEntry {
            command: Some(TextOr::Other(command)),
            env: Some(env.collect()),
            ..ServerEntry::default()
        };
        let id = ServerId::new("null").unwrap();
        let added = add_to_text(file, "", &[(id, entry)], IfPresent::Refuse);
        proptest::prop_assert!(added.is_ok(), "{:?}", texts);
    }

    #[test]
    fn loading_arbitrary_characters_does_not_panic(text in ".{0,200}", json in any::<bool>()) {
        let _ = load_as(&[(if json { "x.json" } else { "x.yaml" }, &text)]);
    }
}

#[test]
fn oversized_and_deeply_nested_files_are_rejected() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let last = level - 1;
        bomb += &format!(
            "a{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
        );
    }
    let problems = load_as(&[("bomb.yaml", &bomb)]).unwrap_err();
    assert!(problems.to_string().contains("too large"), "{problems}");
    let deep = "[".repeat(10_000);
    assert!(load_as(&[("deep.yaml", &deep)]).is_err());
    let deep = "a: ".repeat(10_000);
    assert!(load_as(&[("deep.yaml", &deep)]).is_err());
    let many: String = (0..20_000).map(|key| format!("k{key}: 1\n")).collect();
    let problems = load_as(&[("many.yaml", &many)]).unwrap_err();
    assert!(problems.problems.len() <= 201);
}
