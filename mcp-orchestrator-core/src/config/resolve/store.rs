//! Resolves the credential store.

use crate::config::resolve::check;
use crate::config::resolve::scope::{Scope, set};
use crate::config::schema::credentials::{StoreEntry, StoreKeyEntry};
use crate::config::schema::file::File;
use crate::config::settings::backends::KubernetesSettings;
use crate::config::settings::store::{StoreKey, StoreSettings};

/// The values of all files read so far.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    kind: Option<StoreEntry>,
    key: Option<StoreKey>,
}

impl Stores {
    /// Applies the entry of a file; a later file replaces an earlier one.
    pub(crate) fn apply(&mut self, scope: &mut Scope<'_>, file: &File) {
        let Some(entry) = &file.credentials else {
            return;
        };
        let path = scope.path.key("credentials");
        let scope = &mut scope.below(path);
        if let Some(kind) = entry.store.filter(|kind| !is_built_in(*kind)) {
            let text = format!("this program was built without the store {kind:?}").to_lowercase();
            scope.problem("store", text);
        }
        set(scope, "store", &mut self.kind, entry.store);
        let key = entry.key.as_ref().and_then(|typed| {
            let path = scope.path.key("key");
            key(&mut scope.below(path), typed)
        });
        set(scope, "key", &mut self.key, key);
        if self.key.is_some() && !matches!(self.kind, None | Some(StoreEntry::Local)) {
            scope.notice("key", "only applies to the `local` store");
        }
    }

    /// Returns the settings. The default is the cluster's store inside a cluster, and the local disk elsewhere.
    pub(crate) fn settings(self, inside: bool, cluster: &KubernetesSettings) -> StoreSettings {
        let own = match inside {
            true => [StoreEntry::Kubernetes, StoreEntry::Local],
            false => [StoreEntry::Local, StoreEntry::Memory],
        };
        let best = own.into_iter().find(|kind| is_built_in(*kind));
        match self.kind.or(best) {
            Some(StoreEntry::Local) => StoreSettings::Local(self.key),
            Some(StoreEntry::Kubernetes) => StoreSettings::Kubernetes(Box::new(cluster.clone())),
            Some(StoreEntry::Memory) | None => StoreSettings::Memory,
        }
    }
}

fn is_built_in(kind: StoreEntry) -> bool {
    match kind {
        StoreEntry::Local => cfg!(feature = "local-store"),
        StoreEntry::Kubernetes => cfg!(feature = "kubernetes"),
        StoreEntry::Memory => true,
    }
}

fn key(scope: &mut Scope<'_>, typed: &StoreKeyEntry) -> Option<StoreKey> {
    let given = [
        typed.file.is_some(),
        typed.env.is_some(),
        typed.command.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        scope.problem("", "must have exactly one of `file`, `env` and `command`");
        return None;
    }
    if let Some(file) = scope.plain("file", typed.file.as_ref()) {
        return Some(StoreKey::File(scope.source.resolve(&file)));
    }
    if let Some(name) = scope.plain("env", typed.env.as_ref()) {
        let path = scope.path.key("env");
        scope.check(&path, check::env_name(&name))?;
        return Some(StoreKey::Env(name));
    }
    let mut line = Vec::new();
    for (index, part) in typed.command.as_deref()?.iter().enumerate() {
        let path = scope.path.key("command").index(index);
        line.push(scope.text(&path, part, None)?.expose().to_owned());
    }
    if line.first().is_none_or(|program| program.trim().is_empty()) {
        scope.problem("command", "must name a program");
        return None;
    }
    Some(StoreKey::Command(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, Variables, load_texts};

    fn loaded(text: &str, inside: bool) -> Result<StoreSettings, String> {
        let env = inside.then(|| ("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()));
        let options = LoadOptions {
            variables: Variables {
                env: env.into_iter().collect(),
                ..Variables::default()
            },
            state_dir: Some("/state".into()),
            ..LoadOptions::default()
        };
        let texts = [("/etc/mcp/c.yaml".into(), text.to_owned())];
        let loaded = load_texts(&texts, &options).map_err(|problems| problems.to_string())?;
        Ok(loaded.settings.store)
    }

    #[cfg(all(feature = "local-store", feature = "kubernetes"))]
    #[test]
    fn default_store_follows_the_environment_unless_configured() {
        assert_eq!(loaded("{}", false), Ok(StoreSettings::Local(None)));
        let named = "kubernetes: {name: main}";
        let Ok(StoreSettings::Kubernetes(cluster)) = loaded(named, true) else {
            panic!("inside a cluster it is the cluster's");
        };
        assert_eq!(cluster.name, "main");
        let memory = "credentials: {store: memory}";
        assert_eq!(loaded(memory, true), Ok(StoreSettings::Memory));
        let file = "credentials: {store: local, key: {file: keys/store}}";
        let key = StoreKey::File("/etc/mcp/keys/store".into());
        assert_eq!(loaded(file, true), Ok(StoreSettings::Local(Some(key))));
        let command = "credentials: {key: {command: [pass, show, canary]}}";
        let settings = loaded(command, false).unwrap();
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn invalid_key_sources_and_store_names_are_rejected() {
        for (text, part) in [
            ("credentials: {key: {}}", "exactly one of"),
            ("credentials: {key: {env: A, file: b}}", "exactly one of"),
            ("credentials: {key: {command: []}}", "must name a program"),
            (
                "credentials: {key: {env: 'A=B'}}",
                "a variable name must not contain",
            ),
            ("credentials: {store: vault}", "credentials.store"),
        ] {
            let error = loaded(text, false).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
