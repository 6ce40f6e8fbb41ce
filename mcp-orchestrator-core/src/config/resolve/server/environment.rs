//! Resolves the environment of a program.

use std::collections::{BTreeMap, BTreeSet};

use super::env_file;
use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::KeyPath;
use crate::value::Text;

/// Resolves `env_file` and `env`.
pub(super) fn env(scope: &mut Scope<'_>, entry: &ServerEntry) -> BTreeMap<String, Text> {
    let key = if scope.source.is_foreign() {
        "envFile"
    } else {
        "env_file"
    };
    let file = entry.env_file.as_ref();
    let mut env = file.map_or_else(BTreeMap::new, |file| env_file::read(scope, key, file));
    for (name, typed) in entry.env.iter().flatten() {
        let path = scope.path.key("env").key(name);
        if let Err(message) = check::env_name(name) {
            scope.problem_at_key(&path, message);
        } else if let Some(value) = secret_value(scope, &path, typed, None) {
            env.insert(name.clone(), value);
        }
    }
    env
}

/// A value that is a secret in a foreign file whatever it is.
pub(super) fn secret_value(
    scope: &mut Scope<'_>,
    path: &KeyPath,
    typed: &Typed,
    keep: Option<&str>,
) -> Option<Text> {
    let text = scope.text(path, typed, keep)?;
    if scope.source.is_foreign() && !text.is_secret() {
        return Some(Text::secret(text.expose()));
    }
    Some(text)
}

/// The names under `inherit_env`, checked, each once.
pub(crate) fn inherit_env(scope: &mut Scope<'_>, typed: Option<&[String]>) -> Vec<String> {
    let typed = typed.unwrap_or_default();
    let names: BTreeSet<&String> = typed.iter().collect();
    for (index, name) in typed.iter().enumerate() {
        let path = scope.path.key("inherit_env").index(index);
        scope.check(&path, check::env_name(name));
    }
    names.into_iter().cloned().collect()
}
