//! Foreign files work unchanged.

use super::{load_as, options};
use crate::config::{LoadOptions, load_texts};
use crate::id::ServerId;
use crate::server::{Launch, RemoteTransport, ServerSpec};

fn load_foreign(file: &str, text: &str) -> crate::config::Loaded {
    load_as(&[(file, text)]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn find(loaded: &crate::config::Loaded, name: &str) -> ServerSpec {
    (**loaded
        .settings
        .server(&ServerId::new(name).unwrap())
        .unwrap())
    .clone()
}

const CLAUDE: &str = r#"{
  "$schema": "https://example.com/schema.json",
  "mcpServers": {
    "File System": {
      "command": "sh", "args": ["-y", "fs", "${HOME}", "$$x"], "env": {"PLAIN": "visible", "N": 5, "OFF": null},
      "autoApprove": ["read"], "timeout": 60, "disabled": false
    },
    "remote": {"type": "streamable-http", "url": "${BASE:-https://example.com}/mcp", "headers": {"X-Key": "k", "Accept": "x"}},
    "sse": {"type": "sse", "url": "http://localhost:1/sse"},
    "url-only": {"url": "http://localhost:1/mcp"},
    "off": {"command": "sh", "disabled": true}
  },
  "globalShortcut": "x"
}"#;

#[test]
fn claude_and_cursor_files_are_loaded() {
    let loaded = load_foreign("claude_desktop_config.json", CLAUDE);
    let fs = find(&loaded, "file-system");
    let Launch::Program(program) = &fs.launch else {
        panic!()
    };
    let args = &program.command.as_ref().unwrap().args;
    assert_eq!((args[2].expose(), args[2].is_secret()), ("/home/u", true));
    assert_eq!((args[3].expose(), args[3].is_secret()), ("$$x", false));
    assert_eq!(fs.env["N"].expose(), "5");
    assert!(fs.env.values().all(crate::value::Text::is_secret));
    assert!(!fs.env.contains_key("OFF"));
    let Launch::Remote(remote) = find(&loaded, "remote").launch else {
        panic!()
    };
    assert_eq!(remote.url.to_string(), "https://example.com/mcp");
    assert_eq!(remote.headers.keys().collect::<Vec<_>>(), ["x-key"]);
    assert!(remote.headers["x-key"].is_secret());
    let Launch::Remote(sse) = find(&loaded, "sse").launch else {
        panic!()
    };
    assert_eq!(sse.transport, RemoteTransport::Sse);
    let Launch::Remote(url) = find(&loaded, "url-only").launch else {
        panic!()
    };
    assert_eq!(url.transport, RemoteTransport::Detect);
    assert_eq!(loaded.settings.servers.len(), 4);
    let notices: String = loaded
        .notices
        .iter()
        .map(|notice| format!("{notice}\n"))
        .collect();
    assert!(
        notices.contains("renamed to file-system") && notices.contains("disabled in this file"),
        "{notices}"
    );
}

const VS_CODE: &str = r#"{
  // comments and trailing commas are allowed
  "inputs": [
    {"type": "promptString", "id": "github-token", "description": "A /* token */", "password": true},
    {"type": "promptString", "id": "level", "default": "info"},
  ],
  "servers": {
    "github": {
      "type": "stdio",
      "command": "sh",
      "args": ["${workspaceFolder}/run.js", "--level=${input:level}"],
      "env": {"TOKEN": "${input:github-token}", "HOME2": "${env:HOME}"}, /* http://x */
    },
    "docs": {"type": "http", "url": "https://example.com/mcp", "gallery": true},
  },
}"#;

#[test]
fn vs_code_servers_and_inputs_are_loaded() {
    let refused = load_as(&[("/home/u/project/.vscode/mcp.json", VS_CODE)])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("mcp.json:12:24: servers.github.env.TOKEN: the input \"github-token\" has no value; set it \
                          with --input or the variable MCP_INPUT_GITHUB_TOKEN"),
        "{refused}"
    );
    let mut options: LoadOptions = options();
    options
        .variables
        .inputs
        .insert("github-token".into(), "canary".into());
    let texts = [(
        "/home/u/project/.vscode/mcp.json".into(),
        VS_CODE.to_owned(),
    )];
    let loaded = load_texts(&texts, &options).unwrap();
    let github = find(&loaded, "github");
    assert_eq!(github.env["TOKEN"].expose(), "canary");
    assert_eq!(github.env["HOME2"].expose(), "/home/u");
    let Launch::Program(program) = &github.launch else {
        panic!()
    };
    let args = &program.command.as_ref().unwrap().args;
    assert_eq!(
        (args[0].expose(), args[0].is_secret()),
        ("/home/u/project/run.js", false)
    );
    assert_eq!(
        (args[1].expose(), args[1].is_secret()),
        ("--level=info", true)
    );
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn env_file_is_read_and_env_takes_precedence() {
    let folder = tempfile::tempdir().unwrap();
    // Relative paths are resolved against the folder that contains the editor's own folder.
    let project = folder.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let file = project.join(".vscode/mcp.json");
    let servers = r#"{"a": {"command": "sh", "envFile": ".env", "env": {"BOTH": "env"}},
        "b": {"command": "sh", "envFile": "${workspaceFolder}/none"}}"#;
    let texts = [(file, format!(r#"{{"servers": {servers}}}"#))];
    let variables = "TOKEN=canary\nBOTH=file\nwhat is this\n";
    std::fs::write(project.join(".env"), variables).unwrap();
    let wrong = load_texts(&texts, &options()).unwrap_err().to_string();
    assert!(
        wrong.contains("mcp.json:1:48: servers.a.envFile:")
            && wrong.contains(".env:3: expected NAME=VALUE")
            && wrong.contains("none: cannot read the file: No such file"),
        "{wrong}"
    );
    assert!(!wrong.contains("what is this"), "{wrong}");
    std::fs::write(project.join(".env"), &variables[..23]).unwrap();
    std::fs::write(project.join("none"), "").unwrap();
    let loaded = load_texts(&texts, &options()).unwrap();
    let env = find(&loaded, "a").env;
    let shown: Vec<_> = env
        .iter()
        .map(|(name, value)| (&**name, value.expose()))
        .collect();
    assert_eq!(shown, [("BOTH", "env"), ("TOKEN", "canary")]);
    assert!(env.values().all(crate::value::Text::is_secret));
}

#[test]
fn colliding_names_are_an_error_that_lists_both() {
    let text =
        r#"{"mcpServers": {"My Server": {"command": "sh"}, "my_server": {"command": "sh"}}}"#;
    let problems = load_as(&[("mcp.json", text)]).unwrap_err().to_string();
    assert!(
        problems.contains("\"My Server\" and \"my_server\" both become my-server"),
        "{problems}"
    );
}

#[test]
fn mistakes_in_a_foreign_file_are_reported() {
    let text = r#"{"mcpServers": {"a": {"command": 5, "env": {"T": "x"}}, "b": {"args": []}, "c": {"url": "x", "type": "ws"}}}"#;
    let problems = load_as(&[("x.json", text)]).unwrap_err().to_string();
    for says in [
        "mcpServers.a.command: expected a string",
        "mcpServers.b: a server needs",
        "mcpServers.c.type: must be one of",
    ] {
        assert!(problems.contains(says), "{says}: {problems}");
    }
}

#[test]
fn own_json_is_not_mistaken_for_a_foreign_file() {
    let own = r#"{"servers": {"a": {"command": ["sh"], "unknown": 1}}}"#;
    assert!(load_as(&[("config.json", own)]).is_err());
    assert!(load_as(&[(".vscode/mcp.json", own)]).is_ok());
    let ours = r#"{"servers": {"a": {"command": ["sh"], "unknown": 1}}, "gateways": {}}"#;
    assert!(load_as(&[("mcp.json", ours)]).is_err());
    let theirs =
        r#"{"servers": {"a": {"command": "sh", "gallery": 1, "args": ["${workspaceFolder}"]}}}"#;
    assert!(load_as(&[("other.json", theirs)]).is_ok());
    let both = r#"{"mcpServers": {}, "listen": "127.0.0.1:1"}"#;
    let loaded = load_as(&[("both.json", both)]).unwrap();
    assert!(
        loaded.notices[0]
            .message
            .contains("has no effect in a file with `mcpServers`")
    );
}
