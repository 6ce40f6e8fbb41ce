//! Help output: commands in groups, examples for each, and only the options that are relevant to a command.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// A heading, and its commands with their examples.
type Group = (
    &'static str,
    &'static [(&'static str, &'static [&'static str])],
);

const GROUPS: &[Group] = &[
    (
        "Run",
        &[
            (
                "up",
                &["up", "up --config mcp.json --listen 127.0.0.1:9000"],
            ),
            ("quickstart", &["quickstart", "quickstart --in here"]),
            ("ps", &["ps", "ps --watch", "ps -o json"]),
            ("logs", &["logs git --tail 20", "logs git -f"]),
            ("describe", &["describe git"]),
            ("restart", &["restart git"]),
            ("stop", &["stop git"]),
            ("reload", &["reload"]),
        ],
    ),
    (
        "Use",
        &[
            ("tools", &["tools", "tools git", "tools --gateway ops"]),
            ("prompts", &["prompts", "prompts git"]),
            ("resources", &["resources", "resources files"]),
            (
                "call",
                &[
                    "call git git_log --arg repo_path=.",
                    "call git git_log --json '{\"repo_path\": \".\"}'",
                ],
            ),
            (
                "explain",
                &[
                    "explain git__git_log",
                    "explain --principal ann --prompt jira__triage",
                ],
            ),
        ],
    ),
    (
        "Configure",
        &[
            (
                "add",
                &[
                    "add files --command npx -y @modelcontextprotocol/server-filesystem /srv/docs",
                    "add docs --url https://docs.example.com/mcp --bearer env:DOCS_TOKEN",
                ],
            ),
            ("remove", &["remove files"]),
            (
                "import",
                &[
                    "import .mcp.json",
                    "import ~/.cursor/mcp.json --config team.yaml",
                ],
            ),
            ("config", &["config", "config servers.git"]),
            ("check", &["check", "check --start"]),
            (
                "connect",
                &[
                    "connect",
                    "connect claude-code --write",
                    "connect cursor --gateway ops",
                ],
            ),
            ("disconnect", &["disconnect cursor"]),
        ],
    ),
    (
        "People and credentials",
        &[
            ("catalog", &["catalog"]),
            (
                "install",
                &[
                    "install github",
                    "install jira --owner team/ops --value token=env:JIRA_TOKEN",
                ],
            ),
            ("rotate", &["rotate jira --value token=file:new-token"]),
            ("uninstall", &["uninstall github"]),
            ("installations", &["installations"]),
            (
                "token",
                &["token create --user ann --expires 90d", "token list"],
            ),
        ],
    ),
    (
        "Other",
        &[
            ("version", &["version"]),
            ("schema", &["schema > config.schema.json"]),
            (
                "completions",
                &["completions bash > ~/.local/share/bash-completion/completions/mcp-orchestrator"],
            ),
            (
                "purge",
                &["purge", "purge --name mcp-mcp-orchestrator --namespace mcp"],
            ),
        ],
    ),
];

/// Commands that only talk to a running gateway; the backend options are irrelevant to them.
const SPEAKING: &[&str] = &[
    "ps",
    "logs",
    "describe",
    "restart",
    "stop",
    "reload",
    "explain",
    "catalog",
    "install",
    "rotate",
    "uninstall",
    "installations",
    "connect",
    "remove",
];
/// Options of commands that run servers.
const RUNNING: &[&str] = &["backend", "kubeconfig", "context", "namespace", "inputs"];

const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{options-heading}{options}{after-help}";

/// Returns the command line with its help.
pub(crate) fn command() -> Command {
    let mut command = Cli::command();
    let text = groups(&command);
    for (_, commands) in GROUPS {
        for (name, examples) in *commands {
            let text = examples_of(examples, &command);
            command = command.mut_subcommand(*name, |command| command.after_help(text));
        }
    }
    for name in SPEAKING {
        command = command.mut_subcommand(*name, |command| {
            RUNNING.iter().fold(command, |command, option| {
                command.mut_arg(option, |option| option.hide(true))
            })
        });
    }
    command
        .help_template(TEMPLATE.replace("{options-heading}", &heading(&Cli::command(), "Options")))
        .before_help(text)
        .before_long_help(None::<&str>)
}

fn heading(command: &Command, text: &str) -> String {
    let header = command.get_styles().get_header();
    format!("{header}{text}:{header:#}\n")
}

/// Returns the commands under their headings, each with its first help line.
fn groups(command: &Command) -> String {
    let literal = command.get_styles().get_literal();
    let names = GROUPS.iter().flat_map(|(_, commands)| commands.iter());
    let wide = names.map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (title, commands) in GROUPS {
        text.push_str(&heading(command, title));
        for (name, _) in *commands {
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            text.push_str(&format!("  {literal}{name:<wide$}{literal:#}  {about}\n"));
        }
        text.push('\n');
    }
    text.push_str("`mcp-orchestrator help COMMAND` shows a command's options and examples.\n");
    text
}

fn examples_of(examples: &[&str], command: &Command) -> String {
    let mut text = heading(command, "Examples");
    for example in examples {
        text.push_str(&format!("  mcp-orchestrator {example}\n"));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_its_examples_are_right() {
        let command = command();
        let mut grouped: Vec<&str> = Vec::new();
        for (name, examples) in GROUPS.iter().flat_map(|(_, commands)| commands.iter()) {
            grouped.push(name);
            for example in *examples {
                let example = example.split(" > ").next().unwrap_or_default();
                let quoted: Vec<&str> = example.split('\'').collect();
                let mut words = vec!["mcp-orchestrator"];
                words.extend(quoted[0].split_whitespace());
                words.extend(quoted.get(1));
                let read = super::super::command().try_get_matches_from(&words);
                assert!(read.is_ok(), "{example}: {}", read.unwrap_err());
            }
        }
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
        let mut shown: Vec<&str> = shown.map(Command::get_name).collect();
        shown.retain(|name| *name != "help");
        grouped.sort_unstable();
        shown.sort_unstable();
        assert_eq!(grouped, shown);
    }
}
