//! The environment of a child: a few inherited variables, those of its spec, and its secrets. Nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use secrecy::ExposeSecret as _;

use crate::runtime::LaunchSpec;
use crate::runtime::process::secrets::path_of;
use crate::server::Injection;

/// The variables that every child inherits.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "SHELL", "TERM", "TMPDIR",
];

/// The proxy and CA certificate variables of common runtimes and tools. On a corporate network a child cannot connect
/// anywhere without them.
const NETWORK: [&str; 24] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NODE_USE_ENV_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_SYSTEM_CA",
    "DENO_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
];

/// The variables of a child. They contain secrets, so there is no `Debug` implementation.
pub(super) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Builds the environment: inherited variables, then those of the spec, its slots, and the port. Later values
    /// win.
    pub(super) fn new(launch: &LaunchSpec, secrets: &Path, port: Option<u16>) -> Self {
        let server = &launch.server;
        let inherited = INHERITED.into_iter().chain(NETWORK);
        let inherited = inherited.chain(server.inherit_env.iter().map(String::as_str));
        let mut variables: BTreeMap<OsString, OsString> = inherited
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect();
        for (name, text) in &server.env {
            variables.insert(name.into(), text.expose().into());
        }
        for slot in &server.slots {
            let Some(value) = launch.credential.values.get(&slot.name) else {
                continue;
            };
            match &slot.inject {
                Injection::Env(name) => {
                    variables.insert(name.into(), value.expose_secret().into());
                }
                Injection::File {
                    name,
                    path_env: Some(variable),
                } => {
                    variables.insert(variable.into(), path_of(secrets, name).into());
                }
                Injection::File { path_env: None, .. } | Injection::Header { .. } => {}
            }
        }
        if let Some(port) = port {
            variables.insert("PORT".into(), port.to_string().into());
        }
        Self(variables)
    }

    /// Returns the search path for programs.
    pub(super) fn path(&self) -> Option<&OsString> {
        self.0.get(std::ffi::OsStr::new("PATH"))
    }

    /// Returns all variables.
    pub(super) fn into_variables(self) -> BTreeMap<OsString, OsString> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::credential::Credential;
    use crate::id::{ServerId, SlotName};
    use crate::server::{CredentialSlot, ServerSpec, SlotForm};

    #[test]
    fn child_environment_has_its_own_variables_and_a_fixed_inherited_set() {
        let mut server = ServerSpec::command(ServerId::new("a").unwrap(), "a", [""; 0]);
        server.env.insert("HOME".into(), "/elsewhere".into());
        server.env.insert("with.dot".into(), "1".into());
        let slot = |name: &str, inject| CredentialSlot {
            name: SlotName::new(name).unwrap(),
            description: None,
            required: true,
            inject,
            form: SlotForm::default(),
        };
        server.slots = vec![
            slot("token", Injection::Env("TOKEN".into())),
            slot(
                "file",
                Injection::File {
                    name: "key.pem".into(),
                    path_env: Some("KEY_FILE".into()),
                },
            ),
        ];
        let mut credential = Credential::none();
        for name in ["token", "file"] {
            let name = SlotName::new(name).unwrap();
            credential.values.insert(name, "s3cret".into());
        }
        let launch = LaunchSpec {
            server: Arc::new(server),
            credential: Arc::new(credential),
        };
        let variables = Environment::new(&launch, Path::new("/s"), Some(7)).into_variables();
        let get = |name: &str| variables.get(std::ffi::OsStr::new(name)).cloned();
        assert_eq!(get("HOME"), Some("/elsewhere".into()));
        assert_eq!(get("with.dot"), Some("1".into()));
        assert_eq!(get("TOKEN"), Some("s3cret".into()));
        assert_eq!(get("KEY_FILE"), Some("/s/key.pem".into()));
        assert_eq!(get("PORT"), Some("7".into()));
        assert_eq!(get("PATH"), std::env::var_os("PATH"));
        let own = ["with.dot", "TOKEN", "KEY_FILE", "PORT"];
        for name in variables.keys().map(|name| name.to_str().unwrap()) {
            let inherited = INHERITED.contains(&name) || NETWORK.contains(&name);
            assert!(inherited || own.contains(&name), "{name}");
        }
    }
}
