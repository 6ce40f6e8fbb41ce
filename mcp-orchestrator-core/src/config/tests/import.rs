//! A foreign file is converted to our own format, and secrets are never copied unnoticed.

use std::path::Path;

use crate::config::{
    IfPresent, ImportOptions, ImportValues, Imported, LoadOptions, add_to_text, import_text,
    load_texts,
};

const FOREIGN: &str = r#"{
      "inputs": [{"id": "tok", "type": "promptString"}],
      "mcpServers": {
        "Git Hub": {"command": "sh", "args": ["-y", "${input:tok}", "$${x.y}", "$${HOME}", "${workspaceFolder}/a"],
                    "env": {"API_KEY": "canary-1", "apiUrl": "u", "R": "${env:HOME}"}},
        "b": {"command": "sh", "env": {"API_KEY": "canary-2"}},
        "c": {"command": "sh", "env": {"API_KEY": "canary-1"}},
        "d": {"url": "https://h/", "headers": {"Authorization": "Bearer canary-3"}}
      }
    }"#;

fn with(values: ImportValues) -> ImportOptions {
    ImportOptions {
        values,
        ..ImportOptions::default()
    }
}

fn import(values: ImportValues) -> Imported {
    let file = Path::new("/w/.cursor/mcp.json");
    import_text(file, FOREIGN, &with(values)).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn values_become_references_and_the_variables_are_listed() {
    let imported = import(ImportValues::Reference);
    let file = Path::new("c.yaml");
    let (text, _) = add_to_text(file, "", &imported.servers, IfPresent::Refuse).unwrap();
    assert!(!text.contains("canary"), "{text}");
    let names: Vec<_> = imported
        .variables
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "HOME",
            "MCP_B_API_KEY",
            "MCP_C_API_KEY",
            "MCP_D_AUTHORIZATION",
            "MCP_GIT_HUB_API_KEY",
            "MCP_GIT_HUB_API_URL",
            "MCP_INPUT_TOK"
        ]
    );
    assert_eq!(imported.variables[4].used_by, ["git-hub.env.API_KEY"]);
    assert!(imported.variables[4].left_behind && !imported.variables[0].left_behind);
    assert!(imported.variables[0].theirs && !imported.variables[6].theirs);
    let mut options = LoadOptions::default();
    options.variables.env = names
        .iter()
        .map(|name| ((*name).to_owned(), "/v".to_owned()))
        .collect();
    let loaded = load_texts(&[("c.yaml".into(), text)], &options).unwrap();
    assert_eq!(loaded.settings.servers.len(), 4);
    let crate::server::Launch::Program(program) = &loaded.settings.servers[0].launch else {
        panic!()
    };
    let args = &program.command.as_ref().unwrap().args;
    let args: Vec<_> = args.iter().map(crate::value::Text::expose).collect();
    assert_eq!(args, ["-y", "/v", "$${x.y}", "$/v", "/w/a"]);
}

#[test]
fn values_are_kept_only_on_request() {
    let imported = import(ImportValues::Keep);
    let (text, _) = add_to_text(
        Path::new("c.yaml"),
        "",
        &imported.servers,
        IfPresent::Refuse,
    )
    .unwrap();
    assert!(
        text.contains("canary-1") && text.contains("Bearer canary-3"),
        "{text}"
    );
    assert!(!format!("{imported:?}").contains("canary"));
}

#[test]
fn unrecognized_files_are_rejected() {
    for text in ["", "{}", "[1]", "{\"mcpServers\": {\"a\": 1}}", "{"] {
        assert!(
            import_text(Path::new("x.json"), text, &with(ImportValues::Keep)).is_err(),
            "{text}"
        );
    }
}
