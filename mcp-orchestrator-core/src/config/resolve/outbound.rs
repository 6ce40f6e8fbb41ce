//! Resolves how outbound connections are made (`network`).

use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::file::File;
use crate::config::schema::network::{ClientCertificateEntry, NetworkEntry};
use crate::config::schema::value::Typed;
use crate::config::settings::outbound::{
    ClientCertificateSettings, OutboundSettings, ProxySettings,
};
use crate::fetch::AllowedPrivate;

/// Returns the settings of a file, or `None` if it contains none.
pub(crate) fn apply(scope: &mut Scope<'_>, file: &File) -> Option<OutboundSettings> {
    let entry = file.network.as_ref()?;
    let said = entry.ca_file.is_some()
        || entry.client_certificates.is_some()
        || entry.proxy.is_some()
        || entry.no_proxy.is_some();
    if !said {
        return None;
    }
    let path = scope.path.key("network");
    let mut scope = scope.below(path);
    let authorities = readable(&mut scope, "ca_file", entry.ca_file.as_ref());
    let typed = entry.client_certificates.iter().flatten().enumerate();
    let mut client_certificates = Vec::new();
    for (index, typed) in typed {
        let path = scope.path.key("client_certificates").index(index);
        client_certificates.extend(certificate(&mut scope.below(path), typed));
    }
    Some(OutboundSettings {
        authorities,
        client_certificates,
        proxy: proxy(&mut scope, entry),
    })
}

fn certificate(
    scope: &mut Scope<'_>,
    entry: &ClientCertificateEntry,
) -> Option<ClientCertificateSettings> {
    let mut hosts = Vec::new();
    for (index, typed) in entry.hosts.iter().flatten().enumerate() {
        let path = scope.path.key("hosts").index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let name = text.expose();
        let checked = check::host(name.strip_prefix("*.").unwrap_or(name));
        if scope.check(&path, checked).is_some() {
            hosts.push(name.to_owned());
        }
    }
    if hosts.is_empty() && !scope.has_problem("hosts") {
        scope.problem(
            "",
            "`hosts` is missing; list the hosts that this certificate is presented to",
        );
    }
    for (key, typed) in [("certificate", &entry.certificate), ("key", &entry.key)] {
        if typed.is_none() {
            scope.problem("", format!("`{key}` is missing; set it to a PEM file"));
        }
    }
    let certificate = readable(scope, "certificate", entry.certificate.as_ref());
    let key = readable(scope, "key", entry.key.as_ref());
    Some(ClientCertificateSettings {
        hosts,
        certificate: certificate?,
        key: key?,
    })
}

fn readable(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<PathBuf> {
    let file = scope.plain(key, typed)?;
    let file = scope.source.resolve(&file);
    if !file.is_file() {
        scope.notice(key, format!("{} is not a file", file.display()));
    }
    Some(file)
}

fn proxy(scope: &mut Scope<'_>, entry: &NetworkEntry) -> ProxySettings {
    let no_proxy = match &entry.no_proxy {
        None => Vec::new(),
        Some(typed) => {
            let mut listed = Vec::new();
            for (index, typed) in typed.iter().enumerate() {
                let path = scope.path.key("no_proxy").index(index);
                listed.extend(scope.text(&path, typed, None));
            }
            listed
        }
    };
    let Some(typed) = &entry.proxy else {
        if entry.no_proxy.is_some() {
            scope.problem(
                "no_proxy",
                "needs `proxy`; for a proxy from the environment, set NO_PROXY",
            );
        }
        return ProxySettings::Environment;
    };
    let path = scope.path.key("proxy");
    let Some(text) = scope.text(&path, typed, None) else {
        return ProxySettings::Environment;
    };
    if text.expose() == "none" {
        return ProxySettings::None;
    }
    let url = SecretString::from(text.expose().to_owned());
    let no_proxy: Vec<&str> = no_proxy.iter().map(crate::value::Text::expose).collect();
    let no_proxy = no_proxy.join(",");
    #[cfg(feature = "outbound")]
    if let Err(error) = crate::outbound::Proxies::all(&url, &no_proxy) {
        scope.problem_at(&path, format!("{error}, or `none`"));
        return ProxySettings::Environment;
    }
    ProxySettings::All { url, no_proxy }
}

/// Returns the private addresses that a file allows.
pub(crate) fn allow_private(scope: &mut Scope<'_>, file: &File) -> Option<Vec<AllowedPrivate>> {
    let typed = file.network.as_ref()?.allow_private.as_ref()?;
    let path = scope.path.key("network");
    let scope = &mut scope.below(path);
    let mut allowed = Vec::new();
    for (index, typed) in typed.iter().enumerate() {
        let path = scope.path.key("allow_private").index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let parsed = text.expose().parse::<AllowedPrivate>();
        allowed.extend(scope.check(&path, parsed.map_err(|error| error.to_string())));
    }
    Some(allowed)
}
