//! Validates package identifiers. Anything else in their place could be an option or a URL that makes a package manager
//! run other code.

use crate::config::import::registry::server_json::Package;

/// Default registries, which need no option.
const PUBLIC: &[(&str, &[&str])] = &[
    ("npm", &["registry.npmjs.org"]),
    (
        "pypi",
        &["pypi.org", "pypi.python.org", "files.pythonhosted.org"],
    ),
    ("nuget", &["api.nuget.org", "nuget.org", "www.nuget.org"]),
    (
        "oci",
        &[
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "hub.docker.com",
        ],
    ),
];

impl Package {
    /// Normalizes terms of earlier schema versions and common variants.
    pub(super) fn normalize(&mut self, version: Option<&str>) {
        let kind = self.registry_type.trim().to_ascii_lowercase();
        self.registry_type = match kind.as_str() {
            "docker" | "docker-hub" | "dockerhub" | "container" => "oci".to_owned(),
            "pip" | "python" => "pypi".to_owned(),
            "node" | "npmjs" => "npm".to_owned(),
            _ => kind,
        };
        let version = self.version.take().or_else(|| version.map(str::to_owned));
        self.version = version.filter(|version| !version.is_empty() && version != "latest");
    }

    /// Checks that identifier and version cannot be options or URLs.
    ///
    /// # Errors
    /// Why they are rejected.
    pub(super) fn check(&self) -> Result<(), String> {
        let fits = match self.registry_type.as_str() {
            "npm" => npm(&self.identifier),
            "pypi" => pypi(&self.identifier),
            "nuget" => word(&self.identifier, "._-"),
            "oci" => image(&self.identifier),
            _ => true,
        };
        if !fits {
            return Err(format!(
                "its identifier is not a valid {} package name, and could run other code",
                self.registry_type
            ));
        }
        let version = self.version.as_deref();
        if version.is_some_and(|version| {
            !word(version, "._+-!~:") || version.contains(':') && self.registry_type != "oci"
        }) {
            return Err("its version is not a valid version, and could run other code".to_owned());
        }
        Ok(())
    }

    /// Returns the URL of the registry, or `None` for the public default.
    ///
    /// # Errors
    /// An error if it is not the URL of a registry.
    pub(super) fn registry(&self) -> Result<Option<&str>, String> {
        let Some(url) = self.registry_base_url.as_deref() else {
            return Ok(None);
        };
        let url = url.trim_end_matches('/');
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let host = rest.unwrap_or(url).split('/').next().unwrap_or_default();
        let known = PUBLIC.iter().find(|(kind, _)| *kind == self.registry_type);
        if known.is_some_and(|(_, hosts)| hosts.contains(&host)) {
            return Ok(None);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/~".contains(c);
        let fits = url.chars().all(plain)
            && word(host, ".-:")
            && (rest.is_some() || self.registry_type == "oci");
        if !fits {
            return Err("its registryBaseUrl is not a registry's URL".to_owned());
        }
        Ok(Some(url))
    }

    /// Returns the image with its registry and version.
    ///
    /// # Errors
    /// As for [`Self::registry`].
    pub(super) fn image(&self) -> Result<String, String> {
        let mut image = self.identifier.clone();
        if let Some(registry) = self.registry()? {
            let registry = registry
                .split_once("://")
                .map_or(registry, |(_, rest)| rest);
            let host = registry.split('/').next().unwrap_or(registry);
            if image.split('/').next() != Some(host) {
                image = format!("{registry}/{image}");
            }
        }
        let last = image.rsplit('/').next().unwrap_or(&image);
        if let Some(version) = &self.version
            && !last.contains([':', '@'])
        {
            let separator = if version.starts_with("sha256:") {
                '@'
            } else {
                ':'
            };
            image = format!("{image}{separator}{version}");
        }
        Ok(image)
    }
}

/// Returns `true` for a word that begins with a letter or digit and otherwise contains only alphanumeric characters and
/// `more`.
fn word(text: &str, more: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        && text.len() <= 214
}

/// Checks `name` or `@scope/name`.
fn npm(text: &str) -> bool {
    match text.strip_prefix('@').map(|rest| rest.split_once('/')) {
        Some(Some((scope, name))) => word(scope, "._~-") && word(name, "._~-"),
        Some(None) => false,
        None => word(text, "._~-"),
    }
}

/// Checks `name` or `name[extra,extra]`.
fn pypi(text: &str) -> bool {
    match text.split_once('[') {
        Some((name, extras)) => {
            word(name, "._-")
                && extras
                    .strip_suffix(']')
                    .is_some_and(|extras| word(extras, "._-,"))
        }
        None => word(text, "._-"),
    }
}

/// Checks `registry:port/path/name:tag@digest`.
pub(in crate::config::import) fn image(text: &str) -> bool {
    word(text, "._/:@-") && !text.contains("://") && !text.contains("..") && !text.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(kind: &str, identifier: &str) -> Package {
        Package {
            registry_type: kind.to_owned(),
            identifier: identifier.to_owned(),
            ..Package::default()
        }
    }

    #[test]
    fn invalid_package_identifiers_are_rejected() {
        for (kind, good) in [
            ("npm", "@scope/name"),
            ("npm", "left-pad"),
            ("pypi", "mcp-server-git"),
            ("pypi", "x[cli,dev]"),
            ("nuget", "Contoso.Weather"),
            ("oci", "ghcr.io/a/b:1@sha256:ab"),
            ("oci", "localhost:5000/a"),
        ] {
            assert!(package(kind, good).check().is_ok(), "{kind} {good}");
        }
        for (kind, wrong) in [
            ("npm", "https://evil.example/x.tgz"),
            ("npm", "-c"),
            ("npm", "--call=x"),
            ("npm", "git+ssh://x"),
            ("npm", "github:evil/x"),
            ("npm", "evil/x"),
            ("npm", "./x"),
            ("npm", "../x"),
            ("npm", "file:x"),
            ("npm", "a b"),
            ("npm", "x@npm:evil"),
            ("npm", ""),
            ("npm", "@x"),
            ("npm", "${TOKEN}"),
            ("pypi", "--from=git+https://evil.example/x"),
            ("pypi", "x @ https://evil"),
            ("pypi", "x;evil"),
            ("pypi", "./x"),
            ("pypi", "/tmp/x"),
            ("nuget", "--source"),
            ("nuget", "x --source y"),
            ("oci", "--privileged"),
            ("oci", "-v/:/x"),
            ("oci", "docker://x"),
            ("oci", "a b"),
            ("oci", "../x"),
        ] {
            assert!(package(kind, wrong).check().is_err(), "{kind} {wrong}");
        }
        for version in [
            "https://evil/x.tgz",
            "npm:evil",
            "-x",
            "1 --registry=x",
            "${A}",
        ] {
            let mut package = package("npm", "x");
            package.version = Some(version.to_owned());
            assert!(package.check().is_err(), "{version}");
        }
    }

    #[test]
    fn an_image_keeps_its_registry() {
        for (base, identifier, version, image) in [
            (
                Some("https://ghcr.io"),
                "example/tool",
                Some("1.0"),
                "ghcr.io/example/tool:1.0",
            ),
            (
                Some("https://ghcr.io/"),
                "ghcr.io/example/tool:2",
                Some("1.0"),
                "ghcr.io/example/tool:2",
            ),
            (
                Some("quay.io"),
                "example/tool",
                None,
                "quay.io/example/tool",
            ),
            (
                Some("https://registry.example:5000/team"),
                "tool",
                Some("1"),
                "registry.example:5000/team/tool:1",
            ),
            (Some("https://docker.io"), "mcp/git", Some("1"), "mcp/git:1"),
            (
                None,
                "mcr.microsoft.com/x",
                Some("sha256:ab"),
                "mcr.microsoft.com/x@sha256:ab",
            ),
            (None, "localhost:5000/x", Some("1"), "localhost:5000/x:1"),
        ] {
            let mut package = package("oci", identifier);
            package.registry_base_url = base.map(str::to_owned);
            package.version = version.map(str::to_owned);
            assert_eq!(package.image().unwrap(), image);
        }
        let mut wrong = package("npm", "x");
        wrong.registry_base_url = Some("https://evil.example --x".to_owned());
        assert!(wrong.registry().is_err());
    }
}
