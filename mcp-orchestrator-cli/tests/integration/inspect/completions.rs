//! Completions in a real shell.

use std::process::Command;

use super::library;
use crate::support::{Site, bare};

/// Returns the completions that bash offers for these words, of which the last is incomplete.
fn bash(site: &Site, words: &[&str]) -> Vec<String> {
    let script = bare(site.dir(), &["completions", "bash"]).ok();
    let program = env!("CARGO_BIN_EXE_mcp-orchestrator");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let last = words.len();
    let drive = format!(
        "mcp-orchestrator() {{ '{program}' \"$@\"; }}\n{script}\n\
         COMP_WORDS=(mcp-orchestrator {}); COMP_CWORD={last}; COMP_TYPE=9\n\
         complete -p mcp-orchestrator >/dev/null || exit 9\n\
         _clap_complete_mcp_orchestrator mcp-orchestrator '{}' ''\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        quoted.join(" "),
        words.last().unwrap()
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = std::path::Path::new(program).parent().unwrap();
    let output = Command::new("bash")
        .args(["--norc", "-c", &drive])
        .current_dir(site.dir())
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("HOME", site.dir().join("home"))
        .env("SECRET_VALUE", "x")
        .env_remove("MCP_ORCHESTRATOR_CONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_options_and_names() {
    let site = Site::with_servers();
    let offered = bash(&site, &["des"]);
    assert_eq!(offered, ["describe"]);
    assert!(bash(&site, &["ps", "--wa"]).contains(&"--watch".to_owned()));
    assert_eq!(bash(&site, &["connect", "claude-c"]), ["claude-code"]);
    // No gateway is running, so the names are those of the files.
    assert_eq!(bash(&site, &["restart", "ma"]), ["math"]);
    assert_eq!(bash(&site, &["tools", "--gateway", "def"]), ["default"]);
}

#[test]
fn bash_completes_names_of_the_running_gateway() {
    let site = library();
    let _up = site.up();
    site.run(&["prompts", "docs"]).ok();
    let state = site.state.to_str().unwrap();
    // Names of the running gateway are offered even though the file differs.
    let words = |word| ["describe", "--state-dir", state, word];
    assert!(bash(&site, &words("do")).contains(&"docs".to_owned()));
    let offered = bash(&site, &words("mcp-docs-"));
    assert!(offered[0].starts_with("mcp-docs-"), "{offered:?}");
    assert_eq!(
        bash(&site, &["logs", "--state-dir", state, "br"]),
        ["broken"]
    );
}

#[test]
fn other_shells_have_completions_too() {
    let site = Site::with_servers();
    for (shell, part) in [
        ("zsh", "#compdef mcp-orchestrator"),
        ("fish", "complete "),
        ("elvish", "edit:"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = bare(site.dir(), &["completions", shell]).ok();
        assert!(script.contains(part), "{shell}: {script}");
    }
}
