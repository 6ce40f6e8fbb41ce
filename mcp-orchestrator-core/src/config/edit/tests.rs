//! Edits of files, as a person would make them.

use super::*;
use crate::config::{TextOr, Typed};

fn entry(program: &str) -> (ServerId, ServerEntry) {
    let command = [program, "-y", "${A}", "a: #b"].map(Typed::from).to_vec();
    let entry = ServerEntry {
        command: Some(TextOr::Other(command)),
        env: Some(
            [
                ("KEY".to_owned(), Typed::from("${KEY}")),
                ("N".to_owned(), Typed::from("1")),
            ]
            .into(),
        ),
        ..ServerEntry::default()
    };
    (ServerId::new("new").unwrap(), entry)
}

fn add(file: &str, text: &str, if_present: IfPresent) -> Result<String, Problems> {
    add_to_text(Path::new(file), text, &[entry("npx")], if_present).map(|(text, _)| text)
}

const BLOCK: &str = "  new:\n    command:\n";

#[test]
fn existing_text_is_preserved() {
    let comment = "# mine\nservers:\n  # first\n  a:\n    command: [sh] # x\n\n  # tail of servers\n\n# about gateways\ngateways: {}\n";
    let added = add("c.yaml", comment, IfPresent::Refuse).unwrap();
    let at = added.find("  # tail of servers\n  new:\n").expect(&added);
    assert_eq!(
        added.replace(&added[at + 20..added.find("\n# about").unwrap()], ""),
        comment
    );
    for text in [
        "",
        "# only\n",
        "listen: 127.0.0.1:1",
        "listen: 127.0.0.1:1\n",
        "servers:\n",
        "servers: # none\nlisten: 127.0.0.1:1\n",
        "servers: {}\n",
        "servers:\n    a: {command: sh}\n",
        "servers:\n  a:\n    command: sh",
    ] {
        let added = add("c.yaml", text, IfPresent::Refuse)
            .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
        assert!(added.contains("  new:\n"), "{text:?}: {added}");
    }
    assert!(
        add("c.yaml", "", IfPresent::Refuse)
            .unwrap()
            .contains(BLOCK)
    );
}

#[test]
fn json_stays_json() {
    for text in [
        "",
        "{}",
        "{\"servers\": {}}",
        "{\"servers\": {\"a\": {\"command\": [\"sh\"]}}}",
        "{\"listen\": \"127.0.0.1:1\"}",
    ] {
        let added = add("c.json", text, IfPresent::Refuse)
            .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
        let value: serde_json::Value =
            serde_json::from_str(&added).unwrap_or_else(|error| panic!("{added}: {error}"));
        assert_eq!(value["servers"]["new"]["command"][0], "npx");
    }
}

#[test]
fn a_server_is_replaced_only_on_request() {
    for (file, text) in [
        (
            "c.yaml",
            "servers:\n  new:\n    command: [old]\n    # gone\n  # stays\n  b: {command: sh}\n",
        ),
        ("c.yaml", "servers:\n  new: {command: old} # gone\n"),
        (
            "c.yaml",
            "servers: {new: {command: old}, b: {command: sh}}\n",
        ),
        (
            "c.json",
            "{\"servers\": {\"new\": {\"command\": [\"old\"]}, \"b\": {\"command\": [\"sh\"]}}}",
        ),
    ] {
        assert!(
            add(file, text, IfPresent::Refuse)
                .unwrap_err()
                .to_string()
                .contains("already exists in this file")
        );
        let now = add(file, text, IfPresent::Replace)
            .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
        assert!(
            !now.contains("old") && !now.contains("gone") && now.contains("npx"),
            "{now}"
        );
        assert_eq!(text.contains("stays"), now.contains("stays"), "{now}");
    }
}

#[test]
fn uneditable_file_is_left_unchanged() {
    for (file, text) in [
        ("c.yaml", "servers: &x\n  a: {command: sh}\n...\n"),
        ("c.yaml", "servers: ["),
        ("mcp.json", "{\"mcpServers\": {}}"),
        ("c.yaml", "- a"),
    ] {
        let answer = add(file, text, IfPresent::Refuse);
        assert!(
            answer.is_err() || answer.is_ok_and(|now| now.starts_with("servers: &x")),
            "{text}"
        );
    }
}

#[test]
fn a_file_is_created_and_changed_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sub/c.yaml");
    assert!(
        add_servers(&file, &[entry("npx")], IfPresent::Refuse)
            .unwrap()
            .created
    );
    let written = add_servers(&file, &[entry("uvx")], IfPresent::Replace).unwrap();
    assert_eq!((written.created, written.replaced.len()), (false, 1));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("uvx") && !text.contains("npx"), "{text}");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn removing_a_server_keeps_the_rest_of_the_file() {
    let id = ServerId::new("b").unwrap();
    for (file, before, after) in [
        (
            "c.yaml",
            "# top\nservers:\n  a: {command: x}\n  b:\n    command: y\n    # of b\n    env: {A: b}\n  # of c\n  c: {command: z}\nlisten: 127.0.0.1:1\n",
            "# top\nservers:\n  a: {command: x}\n  # of c\n  c: {command: z}\nlisten: 127.0.0.1:1\n",
        ),
        ("c.yaml", "servers:\n  b: {command: y}\n", "servers:\n"),
        (
            "c.yaml",
            "servers: {a: {command: x}, b: {command: y}}\n",
            "servers: {a: {command: x}}\n",
        ),
        (
            "c.yaml",
            "servers: {b: {command: y}, a: {command: x}}\n",
            "servers: { a: {command: x}}\n",
        ),
        (
            "c.json",
            "{\"servers\": {\"a\": {\"command\": \"x\"},\n \"b\": {\"command\": \"y\"}}}",
            "{\"servers\": {\"a\": {\"command\": \"x\"}}}",
        ),
    ] {
        let now = remove_from_text(Path::new(file), before, &id).unwrap();
        assert_eq!(now.as_deref(), Some(after), "{before}");
    }
    let none = remove_from_text(Path::new("c.yaml"), "servers:\n  a: {command: x}\n", &id);
    assert_eq!(none.unwrap(), None);
}

#[test]
fn values_of_several_lines_are_read_back_unchanged() {
    let id = ServerId::new("a").unwrap();
    for value in [
        "\n",
        "\n\n",
        " \n",
        "\n a",
        "a\n",
        "a\n\n",
        "a\nb",
        "a\n\n b\n",
        "\ta\nb",
        "a\r\nb",
        "a\u{85}b\n",
        "a \nb",
        "- a\n- b",
        "#\n#",
    ] {
        let entry: ServerEntry =
            serde_json::from_value(serde_json::json!({ "command": value, "args": [value] }))
                .unwrap();
        for (file, text) in [
            ("c.yaml", ""),
            ("c.yaml", "servers:\n      b: {command: x}\n"),
            ("c.yaml", "servers: {}\n"),
            ("c.json", "{}"),
        ] {
            let added = add_to_text(
                Path::new(file),
                text,
                &[(id.clone(), entry.clone())],
                IfPresent::Refuse,
            );
            let (text, _) =
                added.unwrap_or_else(|problems| panic!("{file}: {value:?}: {problems}"));
            let servers = entries(Path::new(file), &text).unwrap();
            assert_eq!(servers["a"], entry, "{file}: {text}");
        }
    }
}
