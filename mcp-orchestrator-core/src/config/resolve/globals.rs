//! Resolves the settings of the orchestrator as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::resolve::access::Access;
use crate::config::resolve::audit;
use crate::config::resolve::check;
use crate::config::resolve::outbound;
use crate::config::resolve::scope::{Scope, set};
use crate::config::resolve::server::environment;
use crate::config::resolve::store::Stores;
use crate::config::schema::file::File;
use crate::config::schema::log::LogFormatEntry;
use crate::config::schema::value::Typed;
use crate::config::settings::audit::AuditSettings;
use crate::config::settings::log::{LogFormat, LogSettings};
use crate::config::settings::outbound::OutboundSettings;
use crate::fetch::AllowedPrivate;

/// The values of all files read so far.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    pub(crate) allowed_hosts: Option<Vec<String>>,
    pub(crate) max_body_bytes: Option<usize>,
    pub(crate) access: Access,
    pub(crate) allow_private: Option<Vec<AllowedPrivate>>,
    pub(crate) outbound: Option<OutboundSettings>,
    pub(crate) stores: Stores,
    pub(crate) log: LogSettings,
    pub(crate) audit: Option<AuditSettings>,
    pub(crate) inherit_env: Option<Vec<String>>,
}

impl Globals {
    /// Applies the entries of a file; a later file replaces an earlier one.
    pub(crate) fn apply(&mut self, scope: &mut Scope<'_>, file: &File) {
        let listen = address(scope, "listen", file.listen.as_ref());
        set(scope, "listen", &mut self.listen, listen);
        let metrics = address(scope, "metrics_listen", file.metrics_listen.as_ref());
        set(scope, "metrics_listen", &mut self.metrics_listen, metrics);
        if self
            .metrics_listen
            .is_some_and(|metrics| metrics.port() != 0 && Some(metrics) == self.listen)
        {
            scope.problem(
                "metrics_listen",
                "metrics need a listener of their own; choose another port",
            );
        }
        let state_dir = scope.plain("state_dir", file.state_dir.as_ref());
        let state_dir = state_dir.map(|folder| scope.source.resolve(&folder));
        set(scope, "state_dir", &mut self.state_dir, state_dir);
        let origins = list(
            scope,
            "allowed_origins",
            file.allowed_origins.as_deref(),
            check::origin,
        );
        set(scope, "allowed_origins", &mut self.allowed_origins, origins);
        let hosts = list(
            scope,
            "allowed_hosts",
            file.allowed_hosts.as_deref(),
            check::host,
        );
        set(scope, "allowed_hosts", &mut self.allowed_hosts, hosts);
        let allowed = outbound::allow_private(scope, file);
        set(scope, "network", &mut self.allow_private, allowed);
        let inherited = file.inherit_env.as_deref();
        let inherited = inherited.map(|names| environment::inherit_env(scope, Some(names)));
        set(scope, "inherit_env", &mut self.inherit_env, inherited);
        let outbound = outbound::apply(scope, file);
        set(scope, "network", &mut self.outbound, outbound);
        let size = file.max_body_bytes.map(|size| size.0);
        if size.is_some_and(|size| size < 1024) {
            scope.problem("max_body_bytes", "must be at least 1KiB");
        }
        set(scope, "max_body_bytes", &mut self.max_body_bytes, size);
        self.access.apply(scope, file);
        self.stores.apply(scope, file);
        audit::apply(&mut self.audit, scope, file);
        if let Some(log) = &file.log {
            self.log.format = log.format.map_or(self.log.format, Into::into);
            let path = scope.path.key("log");
            if let Some(level) = scope.below(path).plain("level", log.level.as_ref()) {
                self.log.level = level;
            }
        }
    }
}

fn address(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<SocketAddr> {
    let text = scope.plain(key, typed)?;
    let path = scope.path.key(key);
    scope.check(&path, check::listen(&text))
}

fn list(
    scope: &mut Scope<'_>,
    key: &str,
    typed: Option<&[Typed]>,
    rule: fn(&str) -> Result<(), String>,
) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for (index, typed) in typed?.iter().enumerate() {
        let path = scope.path.key(key).index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        if scope.check(&path, rule(text.expose())).is_some() {
            texts.push(text.expose().to_owned());
        }
    }
    Some(texts)
}

impl From<LogFormatEntry> for LogFormat {
    fn from(entry: LogFormatEntry) -> Self {
        match entry {
            LogFormatEntry::Text => Self::Text,
            LogFormatEntry::Json => Self::Json,
        }
    }
}
