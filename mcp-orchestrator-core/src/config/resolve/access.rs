//! Resolves authentication, public URL, proxies, TLS and limits.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{Network, PublicUrl};
use crate::config::resolve::issuers;
use crate::config::resolve::scope::{Scope, set};
use crate::config::schema::auth::FirstAdminEntry;
use crate::config::schema::file::File;
use crate::config::schema::listener::{LimitEntry, LimitsEntry, TlsEntry};
use crate::config::schema::units::Span;
use crate::config::schema::value::Typed;
use crate::config::settings::auth::ConnectionSettings;
use crate::config::settings::auth::{AuthSettings, FirstAdmin, IssuerSettings, TlsSettings};
use crate::orchestrator::Limits;

/// The values of all files read so far.
#[derive(Debug, Default)]
pub(crate) struct Access {
    auth: Option<Auth>,
    public_url: Option<PublicUrl>,
    trusted_proxies: Option<Vec<Network>>,
    tls: Option<TlsSettings>,
    limits: Option<(Limits, ConnectionSettings)>,
    auth_wait: Option<Duration>,
    input_wait: Option<Duration>,
}

#[derive(Debug)]
struct Auth {
    local: Option<bool>,
    tokens: bool,
    first_admin: Option<FirstAdmin>,
    issuers: Vec<IssuerSettings>,
}

impl Access {
    /// Applies the entries of a file; a later file replaces an earlier one, each key as a whole.
    pub(crate) fn apply(&mut self, scope: &mut Scope<'_>, file: &File) {
        let url = public_url(scope, file.public_url.as_ref());
        set(scope, "public_url", &mut self.public_url, url);
        let proxies = networks(scope, file.trusted_proxies.as_deref());
        set(scope, "trusted_proxies", &mut self.trusted_proxies, proxies);
        let tls = file.tls.as_ref().and_then(|entry| tls(scope, entry));
        set(scope, "tls", &mut self.tls, tls);
        let limits = file.limits.as_ref().map(|entry| limits(scope, entry));
        set(scope, "limits", &mut self.limits, limits);
        let wait = file.auth_wait.map(|Span(wait)| wait);
        set(scope, "auth_wait", &mut self.auth_wait, wait);
        let wait = file.input_wait.map(|Span(wait)| wait);
        set(scope, "input_wait", &mut self.input_wait, wait);
        let auth = self.auth(scope, file);
        set(scope, "auth", &mut self.auth, auth);
    }

    fn auth(&self, scope: &mut Scope<'_>, file: &File) -> Option<Auth> {
        let entry = file.auth.as_ref()?;
        let path = scope.path.key("auth");
        let mut scope = scope.below(path);
        let issuers = issuers::issuers(&mut scope, entry);
        let tokens = entry.tokens.unwrap_or(false);
        if entry.first_admin.is_some() && !tokens {
            scope.problem(
                "first_admin",
                "its token would be rejected; set `tokens: true`",
            );
        }
        let others = tokens
            || entry
                .issuers
                .as_ref()
                .is_some_and(|typed| !typed.is_empty());
        if entry.local == Some(false) && !others && !scope.has_problem("") {
            scope.problem(
                "local",
                "nobody could sign in; configure `issuers`, or set `tokens: true`",
            );
        }
        if self.public_url.is_none() && file.public_url.is_none() {
            for (index, issuer) in issuers.iter().enumerate() {
                if issuer.audience.is_empty() {
                    let path = scope.path.key("issuers").index(index);
                    scope.below(path).problem(
                        "",
                        "whom must its tokens be for? Name `public_url`, the address under which clients know the \
                         gateway, or here `audience`",
                    );
                }
            }
        }
        Some(Auth {
            local: entry.local,
            tokens,
            first_admin: entry.first_admin.map(FirstAdmin::from),
            issuers,
        })
    }

    /// Returns the combined settings.
    pub(crate) fn settings(self) -> AuthSettings {
        let (local, tokens, first_admin, issuers) = match self.auth {
            Some(auth) => (auth.local, auth.tokens, auth.first_admin, auth.issuers),
            None => (None, false, None, Vec::new()),
        };
        let (limits, connections) = self
            .limits
            .unwrap_or((Limits::CONFIGURED, ConnectionSettings::default()));
        AuthSettings {
            local: local.unwrap_or(!tokens && issuers.is_empty()),
            tokens,
            first_admin,
            issuers,
            public_url: self.public_url,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            tls: self.tls,
            limits,
            connections,
            auth_wait: self.auth_wait,
            input_wait: self.input_wait,
        }
    }
}

fn public_url(scope: &mut Scope<'_>, typed: Option<&Typed>) -> Option<PublicUrl> {
    let text = scope.plain("public_url", typed)?;
    let path = scope.path.key("public_url");
    let parsed = text.parse::<PublicUrl>();
    scope.check(&path, parsed.map_err(|error| error.to_string()))
}

fn networks(scope: &mut Scope<'_>, typed: Option<&[Typed]>) -> Option<Vec<Network>> {
    let mut networks = Vec::new();
    for (index, typed) in typed?.iter().enumerate() {
        let path = scope.path.key("trusted_proxies").index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let parsed = text.expose().parse::<Network>();
        networks.extend(scope.check(&path, parsed.map_err(|error| error.to_string())));
    }
    Some(networks)
}

fn tls(scope: &mut Scope<'_>, entry: &TlsEntry) -> Option<TlsSettings> {
    let path = scope.path.key("tls");
    let mut scope = scope.below(path);
    let certificate = pem(&mut scope, "certificate", entry.certificate.as_ref());
    let key = pem(&mut scope, "key", entry.key.as_ref());
    Some(TlsSettings {
        certificate: certificate?,
        key: key?,
    })
}

fn pem(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<PathBuf> {
    if typed.is_none() {
        scope.problem(
            "",
            format!("TLS needs `certificate` and `key`; `{key}` is missing"),
        );
    }
    let file = scope.plain(key, typed)?;
    let file = scope.source.resolve(&file);
    if !file.is_file() {
        scope.notice(key, "file not found");
    }
    Some(file)
}

fn limits(scope: &mut Scope<'_>, entry: &LimitsEntry) -> (Limits, ConnectionSettings) {
    let path = scope.path.key("limits");
    let mut scope = scope.below(path);
    let mut limit = |key: &str, typed: Option<LimitEntry>, absent: Option<NonZeroUsize>| match typed
    {
        None => absent,
        Some(LimitEntry::Off(_)) => None,
        Some(LimitEntry::Count(count)) => {
            let count = NonZeroUsize::new(count);
            if count.is_none() {
                scope.problem(key, "must be at least 1, or `none` for no limit");
            }
            count
        }
    };
    let absent = Limits::CONFIGURED;
    let limits = Limits {
        calls_per_principal: limit(
            "calls_per_principal",
            entry.calls_per_principal,
            absent.calls_per_principal,
        ),
        calls_per_server: limit("calls_per_server", entry.calls_per_server, None),
        sessions_per_principal: limit(
            "sessions_per_principal",
            entry.sessions_per_principal,
            absent.sessions_per_principal,
        ),
        instances_per_owner: limit("instances_per_owner", entry.instances_per_owner, None),
    };
    let mut connections = |key: &str, typed: Option<LimitEntry>| {
        typed?;
        Some(limit(key, typed, None).unwrap_or(NonZeroUsize::MAX))
    };
    let connections = ConnectionSettings {
        total: connections("connections", entry.connections),
        per_address: connections("connections_per_address", entry.connections_per_address),
    };
    (limits, connections)
}

impl From<FirstAdminEntry> for FirstAdmin {
    fn from(entry: FirstAdminEntry) -> Self {
        match entry {
            FirstAdminEntry::Secret => Self::Secret,
        }
    }
}
