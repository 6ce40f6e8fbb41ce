//! `tools.change` of gateways.

use super::{bad, good, load_as};
use crate::router::ToolOverrides;

/// A file with one server and a gateway that shows it with these `tools`.
fn file(tools: &str) -> String {
    format!(
        "servers:\n  a:\n    command: x\ngateways:\n  g:\n    servers:\n      - server: a\n        tools: {tools}\n"
    )
}

fn overrides(tools: &str) -> ToolOverrides {
    let loaded = good(&file(tools));
    loaded.settings.gateways[1].servers[0].overrides.clone()
}

#[test]
fn changes_of_tools_are_read() {
    let all = overrides(
        r#"{change: {search: {name: find_issue, title: Find, description: "Finds ${X} in acme.", arguments: {repo: acme/web}}, other: {description: ""}}}"#,
    );
    let search = all.get("search").unwrap();
    assert_eq!(search.name.as_deref(), Some("find_issue"));
    assert_eq!(search.title.as_deref(), Some("Find"));
    assert_eq!(search.description.as_deref(), Some("Finds ${X} in acme."));
    assert_eq!(search.arguments.get("repo"), Some("\"acme/web\""));
    assert_eq!(all.get("other").unwrap().description.as_deref(), Some(""));
    assert_eq!(all.own("find_issue"), Some("search"));
    assert!(overrides("{show: [a]}").is_empty());
    assert!(overrides("{change: {}}").is_empty());
    // Two tools may swap their names.
    let swapped = overrides("{change: {a: {name: b}, b: {name: a}}}");
    assert_eq!(
        (swapped.shown("a"), swapped.shown("b")),
        (Some("b"), Some("a"))
    );
}

#[test]
fn fixed_arguments_keep_their_types_and_digits() {
    let yaml = r#"{change: {t: {arguments: {big: 123456789012345678901234567890, price: 1.50, text: "5", yes: true, none: null, empty: ~, list: [1, "two", [3.0]], map: {"é\"": {x: -0.10}}, word: acme, "a b": "$${X} and $5"}}}}"#;
    let all = overrides(yaml);
    let fixed = &all.get("t").unwrap().arguments;
    for (name, value) in [
        ("big", "123456789012345678901234567890"),
        ("price", "1.50"),
        ("text", "\"5\""),
        ("yes", "true"),
        ("none", "null"),
        ("empty", "null"),
        ("list", r#"[1,"two",[3.0]]"#),
        ("map", r#"{"é\"":{"x":-0.10}}"#),
        ("word", "\"acme\""),
        ("a b", r#""${X} and $5""#),
    ] {
        assert_eq!(fixed.get(name), Some(value), "{name}");
    }
    let json = r#"{"servers": {"a": {"command": "x"}}, "gateways": {"g": {"servers": [{"server": "a",
        "tools": {"change": {"t": {"arguments": {"n": 1e400, "z": 12345678901234567890123, "s": "\u00e9\n"}}}}}]}}}"#;
    let loaded = load_as(&[("c.json", json)]).unwrap();
    let all = &loaded.settings.gateways[1].servers[0].overrides;
    let fixed = &all.get("t").unwrap().arguments;
    assert_eq!(fixed.get("n"), Some("1e400"));
    assert_eq!(fixed.get("z"), Some("12345678901234567890123"));
    assert_eq!(fixed.get("s"), Some(r#""é\n""#));
}

/// `tools` with a problem each, and a part of the message.
const MISTAKES: &[(&str, &str)] = &[
    (
        "{change: {t: {name: \"a b\"}}}",
        "g.servers[0].tools.change.t.name: tool \"t\" cannot be named \"a b\": a name has 1 to 128",
    ),
    (
        "{change: {t: {name: \"\"}}}",
        "change.t.name: tool \"t\" cannot be named \"\"",
    ),
    (
        "{change: {t: {name: suché}}}",
        "change.t.name: tool \"t\" cannot be named",
    ),
    (
        "{change: {t: {name: x}, u: {name: x}}}",
        "change.u.name: tool \"u\" cannot be named \"x\": tool \"t\" has this name",
    ),
    (
        "{change: {t: {name: u}, u: {description: d}}}",
        "change.t.name: tool \"t\" cannot be named \"u\": tool \"u\" has this name",
    ),
    ("{change: {t: {}}}", "change.t: changes nothing"),
    (
        "{change: {t: {title: \" \"}}}",
        "change.t.title: must not be empty",
    ),
    (
        "{change: {\"get_*\": {description: d}}}",
        "change.\"get_*\": must be the name of one tool",
    ),
    (
        "{change: {\"\": {description: d}}}",
        "must be the name of one tool",
    ),
    (
        "{show: [\"get_*\"], change: {list: {name: x}}}",
        "change.list: tool \"list\" is changed, but no pattern of `show` admits it",
    ),
    (
        "{show: [x], change: {list: {name: x}}}",
        "no pattern of `show` admits it",
    ),
    (
        "{hide: [\"l*\"], change: {list: {name: x}}}",
        "change.list: tool \"list\" is changed, but `hide` hides it",
    ),
    (
        "{show: [list], hide: [list], only: [read_only], change: {list: {name: x}}}",
        "`hide` hides it",
    ),
    (
        "{change: {t: {arguments: {key: \"${TOKEN}\"}}}}",
        "change.t.arguments.key: variables are not filled in here",
    ),
    (
        "{change: {t: {arguments: {key: {a: [\"x ${env:TOKEN:-y}\"]}}}}}",
        "arguments.key: variables are not filled in here",
    ),
    (
        "{change: {t: {arguments: {key: \"${\"}}}}",
        "arguments.key: variables are not filled in here",
    ),
    (
        "{change: {t: {arguments: {a: .inf}}}}",
        "change.t.arguments.a: JSON has no such number",
    ),
    (
        "{change: {t: {arguments: {a: [007]}}}}",
        "change.t.arguments.a[0]: is a number with a leading zero",
    ),
    (
        "{change: {t: {arguments: [a]}}}",
        "change.t.arguments: expected a mapping",
    ),
    (
        "{change: {t: {nmae: x}}}",
        "change.t.nmae: unknown key \"nmae\"; did you mean \"name\"?",
    ),
    (
        "{change: [t]}",
        "tools.change: expected a mapping of names, found a list",
    ),
    (
        "{change: {t: x}}",
        "change.t: expected a mapping, found a string",
    ),
];

#[test]
fn invalid_changes_are_reported_with_their_place() {
    let long = format!("{{change: {{t: {{name: {}}}}}}}", "x".repeat(129));
    let value = "x".repeat(70_000);
    let large = format!("{{change: {{t: {{arguments: {{a: {value}}}}}}}}}");
    let sizes = [
        (&*long, "change.t.name: tool \"t\" cannot be named"),
        (
            &*large,
            "change.t.arguments: the arguments of tool \"t\" have more than 65536 bytes",
        ),
    ];
    for (tools, problem) in MISTAKES.iter().copied().chain(sizes) {
        let problems = bad(&file(tools));
        let found = problems
            .iter()
            .any(|one| one.replace('"', "'").contains(&problem.replace('"', "'")));
        assert!(found, "{problem}\n{problems:#?}");
    }
    let secrets = bad(&file("{change: {t: {arguments: {key: \"${TOKEN}\"}}}}"));
    assert!(
        secrets[0].contains("`credentials`, `env` or `headers`"),
        "{secrets:?}"
    );
    assert!(!secrets[0].contains("canary"), "{secrets:?}");
}

#[test]
fn every_problem_of_a_change_is_reported_at_once() {
    let problems = bad(&file(
        "{hide: [b], change: {a: {name: \"x y\"}, b: {name: c}, c: {description: d}, e: {}}}",
    ));
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn only_does_not_hide_a_tool_before_its_annotations_are_known() {
    let all = overrides("{only: [read_only, closed_world], change: {t: {name: x}}}");
    assert_eq!(all.shown("t"), Some("x"));
}

#[test]
fn literal_secrets_and_long_names_are_noticed() {
    let name = "n".repeat(65);
    let tools = format!(
        "{{change: {{t: {{name: {name}, arguments: {{api_key: 0123456789abcdef, region: eu}}}}}}}}"
    );
    let notices: Vec<_> = good(&file(&tools))
        .notices
        .iter()
        .map(ToString::to_string)
        .collect();
    let has = |text: &str| notices.iter().filter(|one| one.contains(text)).count();
    assert_eq!(
        (
            has("looks like a secret"),
            has("some clients accept at most 64")
        ),
        (1, 1),
        "{notices:#?}"
    );
    assert!(
        !notices.iter().any(|one| one.contains("0123456789abcdef")),
        "{notices:#?}"
    );
}

#[test]
fn declared_tools_take_their_names() {
    let text = |name: &str| {
        format!(
            "servers:\n  a:\n    url: https://example.com\n    credentials: [{{name: t, header: Authorization}}]\n    \
             tools: [{{name: x}}, {{name: y}}]\ngateways:\n  g:\n    servers:\n      - {{server: a, tools: {{change: {{x: \
             {{name: {name}}}}}}}}}\n"
        )
    };
    let problems = bad(&text("y"));
    assert!(
        problems[0].contains("a tool of the server has this name"),
        "{problems:?}"
    );
    good(&text("z"));
}
