//! Resolves `tools.change`: what a gateway changes of single tools of a server.

use serde_json::value::RawValue;

use crate::config::resolve::scope::Scope;
use crate::config::schema::gateway::{ToolChangeEntry, ToolsEntry};
use crate::config::source::interpolate::{Piece, pieces};
use crate::jsonrpc::{Members, quote, text};
use crate::mask::may_be_secret;
use crate::router::{FixedArguments, Hints, ToolFilter, ToolOverride, ToolOverrides};
use crate::server::{ServerSpec, WithoutCredential};

/// Where a secret belongs that a tool needs.
const SECRETS_ELSEWHERE: &str =
    "a secret belongs into the server's `credentials`, `env` or `headers`";
/// Length from which some clients reject a name.
const RISKY_NAME_LEN: usize = 64;

/// Resolves the changes of an entry; `scope` is at `tools.change`.
pub(super) fn overrides(
    scope: &mut Scope<'_>,
    tools: &ToolsEntry,
    (server, filter): (&ServerSpec, &ToolFilter),
) -> ToolOverrides {
    let mut changes = Vec::with_capacity(tools.change.0.len());
    for (tool, entry) in &tools.change.0 {
        let path = scope.path.key(tool);
        let scope = &mut scope.below(path);
        check_tool(scope, tool, filter);
        changes.push((tool.clone(), change(scope, entry)));
    }
    match ToolOverrides::new(changes) {
        Ok(overrides) => {
            check_declared(scope, &overrides, server);
            overrides
        }
        Err(errors) => {
            for error in errors {
                let path = scope.path.key(error.tool()).key(error.key());
                scope.problem_at(&path, error.to_string());
            }
            ToolOverrides::default()
        }
    }
}

/// Checks that the tool can be shown at all. `scope` is at the tool.
fn check_tool(scope: &mut Scope<'_>, tool: &str, filter: &ToolFilter) {
    let path = scope.path.clone();
    if tool.is_empty() || tool.contains('*') {
        let text = "must be the name of one tool, as the server names it, and no pattern";
        return scope.problem_at_key(&path, text);
    }
    // A tool that has every property, because its annotations are not known yet.
    let all = || Hints {
        read_only: true,
        destructive: false,
        idempotent: true,
        open_world: false,
    };
    let ToolFilter::Some { hide, .. } = filter else {
        return;
    };
    if filter.shows(tool, all) {
        return;
    }
    let without_show = ToolFilter::Some {
        show: Vec::new(),
        hide: hide.clone(),
        only: Vec::new(),
    };
    let why = if without_show.shows(tool, all) {
        "no pattern of `show` admits it"
    } else {
        "`hide` hides it"
    };
    let text = format!(
        "tool {tool:?} is changed, but {why}; `show` and `hide` have the server's own names"
    );
    scope.problem_at_key(&path, text);
}

fn change(scope: &mut Scope<'_>, entry: &ToolChangeEntry) -> ToolOverride {
    let changes_nothing = entry.name.is_none()
        && entry.title.is_none()
        && entry.description.is_none()
        && entry.arguments.0.is_empty();
    if changes_nothing && !scope.has_problem("") {
        let path = scope.path.clone();
        let text = "changes nothing: set `name`, `title`, `description` or `arguments`";
        scope.problem_at_key(&path, text);
    }
    if entry
        .title
        .as_ref()
        .is_some_and(|title| title.trim().is_empty())
    {
        scope.problem("title", "must not be empty");
    }
    if let Some(name) = entry
        .name
        .as_ref()
        .filter(|name| name.len() > RISKY_NAME_LEN)
    {
        let text = format!(
            "has {} characters, and some clients accept at most {RISKY_NAME_LEN}",
            name.len()
        );
        scope.notice("name", text);
    }
    let path = scope.path.key("arguments");
    ToolOverride {
        name: entry.name.clone(),
        title: entry.title.clone(),
        description: entry.description.clone(),
        arguments: arguments(&mut scope.below(path), entry),
    }
}

/// Resolves the fixed arguments; `scope` is at `arguments`.
fn arguments(scope: &mut Scope<'_>, entry: &ToolChangeEntry) -> FixedArguments {
    let mut fixed = FixedArguments::default();
    for (name, value) in &entry.arguments.0 {
        if name.is_empty() {
            scope.problem("", "the name of an argument must not be empty");
            continue;
        }
        let mut names_variable = false;
        let value = without_escapes(&value.0, &mut names_variable);
        if names_variable {
            let text = format!(
                "variables are not filled in here: write the value itself, `$${{` for a literal `${{`; {SECRETS_ELSEWHERE}"
            );
            scope.problem(name, text);
            continue;
        }
        if text(&value).is_some_and(|text| may_be_secret(name, &text)) {
            let text = format!(
                "looks like a secret, which everyone who can read this file sees; {SECRETS_ELSEWHERE}"
            );
            scope.notice(name, text);
        }
        match RawValue::from_string(value) {
            Ok(value) => fixed = fixed.with(name, &value),
            Err(_) => scope.problem(name, "is not a value of JSON"),
        }
    }
    fixed
}

/// Returns the JSON with `$${` in its texts replaced by `${`. Sets `names_variable` if a text names a variable.
fn without_escapes(json: &str, names_variable: &mut bool) -> String {
    if !json.contains("${") {
        return json.to_owned();
    }
    if let Some(members) = Members::read(json) {
        let members = members.0.iter().map(|(key, value)| {
            let value = without_escapes(value.get(), names_variable);
            format!("{}:{value}", quote(key))
        });
        let members: Vec<String> = members.collect();
        return format!("{{{}}}", members.join(","));
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
        let items = items
            .iter()
            .map(|item| without_escapes(item.get(), names_variable));
        let items: Vec<String> = items.collect();
        return format!("[{}]", items.join(","));
    }
    let Some(text) = text(json) else {
        return json.to_owned();
    };
    let mut out = String::new();
    for piece in pieces(&text, true) {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Reference(_) | Piece::Unclosed => *names_variable = true,
        }
    }
    quote(&out)
}

/// Checks the new names against the tools that the configuration declares for the server.
fn check_declared(scope: &mut Scope<'_>, overrides: &ToolOverrides, server: &ServerSpec) {
    let WithoutCredential::Declared(declared) = &server.without_credential else {
        return;
    };
    for (tool, change) in overrides.iter() {
        let Some(name) = &change.name else { continue };
        let is_taken = declared.iter().any(|other| other.name == *name);
        if is_taken && overrides.shown(name).is_none() {
            let path = scope.path.key(tool).key("name");
            let text = format!(
                "tool {tool:?} cannot be named {name:?}: a tool of the server has this name"
            );
            scope.problem_at(&path, text);
        }
    }
}
