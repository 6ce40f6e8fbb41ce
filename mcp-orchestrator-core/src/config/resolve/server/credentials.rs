//! Resolves the credential slots of a server.

use std::collections::BTreeSet;

use crate::config::resolve::check;
use crate::config::resolve::check::kubernetes;
use crate::config::resolve::scope::Scope;
use crate::config::schema::server::{
    CredentialEntry, SecretPlaceEntry, ServerEntry, TransportEntry,
};
use crate::config::schema::value::TextOr;
use crate::config::settings::credentials::{ConfiguredCredential, CredentialSource};
use crate::credential::SecretPlace;
use crate::id::{ServerId, SlotName};
use crate::server::{CredentialSlot, Injection, SlotForm};
use crate::value::Text;

/// Returns the slots of a server, and the sources of their values.
pub(crate) fn slots(
    scope: &mut Scope<'_>,
    server: &ServerId,
    entry: &ServerEntry,
) -> (Vec<CredentialSlot>, Vec<ConfiguredCredential>) {
    let (mut slots, mut sources) = (Vec::new(), Vec::new());
    let mut taken_targets = BTreeSet::new();
    for (index, typed) in entry.credentials.iter().flatten().enumerate() {
        let path = scope.path.key("credentials").index(index);
        let scope = &mut scope.below(path);
        let name = name(scope, typed);
        let inject = injection(scope, typed, entry);
        let source = source(scope, typed);
        let (Some(name), Some(inject)) = (name, inject) else {
            continue;
        };
        if slots.iter().any(|slot: &CredentialSlot| slot.name == name) {
            scope.problem(
                "name",
                "another credential of this server has the same name",
            );
        }
        for (key, place) in targets(&inject) {
            let taken = key == "env"
                && entry
                    .env
                    .as_ref()
                    .is_some_and(|env| env.contains_key(&place));
            if taken || !taken_targets.insert((key, place)) {
                scope.problem("", format!("this server also sets this {key} elsewhere"));
            }
        }
        slots.push(CredentialSlot {
            name: name.clone(),
            description: typed.description.clone(),
            required: typed.required.unwrap_or(true),
            inject,
            form: form(scope, typed),
        });
        sources.extend(source.map(|source| ConfiguredCredential {
            server: server.clone(),
            slot: name,
            source,
        }));
    }
    (slots, sources)
}

fn form(scope: &mut Scope<'_>, typed: &CredentialEntry) -> SlotForm {
    let choices = typed.choices.clone().unwrap_or_default();
    if let Some(default) = &typed.default
        && !choices.is_empty()
        && !choices.contains(default)
    {
        scope.problem("default", "must be one of the `choices`");
    }
    SlotForm {
        plain: typed.plain.unwrap_or_default(),
        default: typed.default.clone(),
        choices,
    }
}

fn name(scope: &mut Scope<'_>, typed: &CredentialEntry) -> Option<SlotName> {
    let Some(name) = &typed.name else {
        if !scope.has_problem("") {
            scope.problem("", "a credential needs a `name`");
        }
        return None;
    };
    let path = scope.path.key("name");
    scope.check(
        &path,
        SlotName::new(name).map_err(|error| error.to_string()),
    )
}

fn injection(
    scope: &mut Scope<'_>,
    typed: &CredentialEntry,
    server: &ServerEntry,
) -> Option<Injection> {
    let given = [
        typed.env.is_some(),
        typed.file.is_some(),
        typed.header.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        if !scope.has_problem("") {
            scope.problem(
                "",
                "a credential needs one of `env`, `file` and `header`, which says how the server receives it",
            );
        }
        return None;
    }
    let remote = server.url.is_some();
    if remote && typed.header.is_none() {
        scope.problem(
            "",
            "a server with a `url` receives a credential as a `header`",
        );
    }
    if typed.header.is_some() && !remote && server.transport != Some(TransportEntry::Http) {
        scope.problem(
            "header",
            "a stdio server receives a credential as `env` or `file`",
        );
    }
    let (env_at, file_at, header_at) = (
        scope.path.key("env"),
        scope.path.key("file"),
        scope.path.key("header"),
    );
    if let Some(env) = &typed.env {
        scope.check(&env_at, check::env_name(env))?;
        return Some(Injection::Env(env.clone()));
    }
    if let Some(file) = &typed.file {
        let (name, path_env) = match file {
            TextOr::Text(name) => (name.0.clone(), None),
            TextOr::Other(file) => (file.name.clone(), file.path_env.clone()),
        };
        scope.check(&file_at, check::file_name(&name))?;
        if let Some(env) = &path_env {
            scope.check(&file_at.key("path_env"), check::env_name(env))?;
        }
        return Some(Injection::File { name, path_env });
    }
    let (name, prefix) = match typed.header.as_ref()? {
        TextOr::Text(name) => (name.0.clone(), String::new()),
        TextOr::Other(header) => (header.name.clone(), header.prefix.clone()),
    };
    let header = scope.check(&header_at, check::header_name(&name))?;
    if check::is_own_header(&header) {
        scope.problem_at(&header_at, "this header is set by the gateway");
    }
    scope.check(&header_at, check::header_value(&prefix))?;
    Some(Injection::Header {
        name: header.as_str().to_owned(),
        prefix,
    })
}

/// Returns what an injection sets, to detect conflicts.
fn targets(inject: &Injection) -> Vec<(&'static str, String)> {
    match inject {
        Injection::Env(name) => vec![("env", name.clone())],
        Injection::Header { name, .. } => vec![("header", name.clone())],
        Injection::File { name, path_env } => {
            let mut targets = vec![("file", name.clone())];
            targets.extend(path_env.iter().map(|env| ("env", env.clone())));
            targets
        }
    }
}

fn source(scope: &mut Scope<'_>, typed: &CredentialEntry) -> Option<CredentialSource> {
    let given = [
        typed.value.is_some(),
        typed.from_env.is_some(),
        typed.from_file.is_some(),
        typed.from_secret.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        scope.problem(
            "",
            "a credential can have only one of `value`, `from_env`, `from_file` and `from_secret`",
        );
        return None;
    }
    if let Some(value) = &typed.value {
        let path = scope.path.key("value");
        let value = scope.text(&path, value, None)?;
        if value.expose().is_empty() {
            scope.problem("value", "must not be empty");
        }
        return Some(CredentialSource::Value(Text::secret(value.expose())));
    }
    if let Some(name) = &typed.from_env {
        let path = scope.path.key("from_env");
        scope.check(&path, check::env_name(name))?;
        if scope.variables.get(name).is_none() {
            scope.notice("from_env", format!("the variable {name} is not set"));
        }
        return Some(CredentialSource::Env(name.clone()));
    }
    if let Some(place) = &typed.from_secret {
        let path = scope.path.key("from_secret");
        return secret_place(&mut scope.below(path), place);
    }
    let file = scope.plain("from_file", typed.from_file.as_ref())?;
    let file = scope.source.resolve(&file);
    if !file.is_file() {
        scope.notice("from_file", "file not found");
    }
    Some(CredentialSource::File(file))
}

fn secret_place(scope: &mut Scope<'_>, typed: &SecretPlaceEntry) -> Option<CredentialSource> {
    if !cfg!(feature = "kubernetes") {
        scope.problem("", "this program was built without Kubernetes");
        return None;
    }
    for (name, checked) in [
        ("name", kubernetes::object_name(&typed.name)),
        ("key", kubernetes::data_key(&typed.key)),
    ] {
        let path = scope.path.key(name);
        scope.check(&path, checked)?;
    }
    Some(CredentialSource::Secret(SecretPlace {
        name: typed.name.clone(),
        key: typed.key.clone(),
    }))
}
