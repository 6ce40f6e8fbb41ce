use super::*;

fn named(name: &str) -> ToolOverride {
    ToolOverride {
        name: Some(name.into()),
        ..ToolOverride::default()
    }
}

fn described(text: &str) -> ToolOverride {
    ToolOverride {
        description: Some(text.into()),
        ..ToolOverride::default()
    }
}

#[test]
fn own_and_shown_names_correspond_one_to_one() {
    let renames = [
        ("a", named("b")),
        ("b", named("a")),
        ("c", named("d")),
        ("e", named("e")),
        ("f", described("x")),
    ];
    let overrides = ToolOverrides::new(renames).unwrap();
    for (own, shown) in [
        ("a", Some("b")),
        ("b", Some("a")),
        ("c", Some("d")),
        ("d", None),
        ("e", Some("e")),
        ("f", Some("f")),
        ("g", Some("g")),
        ("", Some("")),
    ] {
        assert_eq!(overrides.shown(own), shown, "{own}");
        if let Some(shown) = shown {
            assert_eq!(overrides.own(shown), Some(own), "{shown}");
        }
    }
    assert_eq!(overrides.own("c"), None);
    let none = ToolOverrides::default();
    assert_eq!((none.shown("a"), none.own("a")), (Some("a"), Some("a")));
    assert!(none.is_empty() && none.iter().next().is_none());
    let empty: [(&str, ToolOverride); 0] = [];
    assert!(ToolOverrides::new(empty).unwrap().is_empty());
}

#[test]
fn two_tools_never_get_one_name() {
    for (renames, other) in [
        (vec![("a", named("x")), ("b", named("x"))], "a"),
        (vec![("a", named("b")), ("b", described("t"))], "b"),
        (vec![("a", named("b")), ("b", named("b"))], "b"),
        (
            vec![("a", named("c")), ("b", named("a")), ("c", named("a"))],
            "b",
        ),
    ] {
        let errors = ToolOverrides::new(renames).unwrap_err();
        let [OverrideError::NameTaken { other: found, .. }] = &errors[..] else {
            panic!("{errors:?}");
        };
        assert_eq!(found, other);
    }
}

#[test]
fn names_that_the_protocol_does_not_allow_are_rejected() {
    let longest = "x".repeat(128);
    for name in ["a", "A.b-c_9", &longest] {
        assert!(ToolOverrides::new([("t", named(name))]).is_ok(), "{name}");
    }
    let longer = "x".repeat(129);
    for name in ["", " ", "a b", "a/b", "é", "a\n", "a,b", "*", "ａ", &longer] {
        let errors = ToolOverrides::new([("t", named(name))]).unwrap_err();
        assert_eq!((errors[0].tool(), errors[0].key()), ("t", "name"), "{name}");
    }
}

#[test]
fn texts_and_arguments_are_bounded() {
    let long = "x".repeat(MAX_OVERRIDE_TEXT_BYTES + 1);
    let value = crate::jsonrpc::raw(&"x".repeat(MAX_FIXED_ARGUMENTS_BYTES));
    let change = ToolOverride {
        title: Some(long.clone()),
        description: Some(long),
        arguments: FixedArguments::default().with("a", &value),
        ..ToolOverride::default()
    };
    let errors = ToolOverrides::new([("t", change)]).unwrap_err();
    let keys: Vec<_> = errors.iter().map(OverrideError::key).collect();
    assert_eq!(keys, ["title", "description", "arguments"]);
}

#[test]
fn argument_is_recognized_in_every_spelling_that_a_parser_accepts() {
    let fixed = FixedArguments::default().with("taskId", &crate::jsonrpc::raw(&1));
    for key in [
        "taskId",
        "TASKID",
        "ta\u{17f}kId",
        "tas\u{212a}id",
        "taskId\0x",
    ] {
        assert_eq!(fixed.taken_for(key), Some("taskId"), "{key:?}");
    }
    for key in ["task", "taskIds", "task_id", ""] {
        assert_eq!(fixed.taken_for(key), None, "{key:?}");
    }
    let twice = fixed
        .with("taskId", &crate::jsonrpc::raw(&2))
        .with("a\"", &crate::jsonrpc::raw(&"b"));
    assert_eq!(twice.members(), r#""taskId":2,"a\"":"b""#);
}
