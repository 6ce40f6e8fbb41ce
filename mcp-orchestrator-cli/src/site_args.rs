//! Arguments that select a gateway: one with a configuration on this machine, or a remote one.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Once;

use clap::Args;
use mcp_orchestrator_core::outbound::{ClientCertificate, Connector, ConnectorOptions};
use mcp_orchestrator_gateway::args::FileArgs;

use crate::output;

/// Selects the gateway to use.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SiteArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) elsewhere: ElsewhereArgs,
}

/// A remote gateway.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Remote gateway")]
pub(crate) struct ElsewhereArgs {
    /// URL of the gateway, e.g. `https://mcp.example.com`. The token is read from MCP_ORCHESTRATOR_TOKEN
    #[arg(long, value_name = "URL", env = "MCP_ORCHESTRATOR_GATEWAY_URL")]
    pub(crate) gateway_url: Option<String>,
    /// Read the token from this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file of certificate authorities to trust in addition to those of the system
    #[arg(long, value_name = "FILE", env = "MCP_ORCHESTRATOR_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file of the client certificate for this gateway
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_key",
        env = "MCP_ORCHESTRATOR_CLIENT_CERTIFICATE"
    )]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file of the private key of the client certificate
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_certificate",
        env = "MCP_ORCHESTRATOR_CLIENT_KEY"
    )]
    pub(crate) client_key: Option<PathBuf>,
}

/// The former name of the environment variable of the URL.
const OLD_VARIABLE: &str = "MCP_ORCHESTRATOR_GATEWAY";

impl ElsewhereArgs {
    /// Returns the URL, which may also be in the variable with the former name.
    pub(crate) fn url(&self) -> Option<String> {
        static WARNING: Once = Once::new();
        let old = || {
            let url = std::env::var(OLD_VARIABLE).ok();
            let url = url.filter(|url| !url.is_empty())?;
            WARNING.call_once(|| {
                output::note(&format!(
                    "warning: {OLD_VARIABLE} is deprecated; use MCP_ORCHESTRATOR_GATEWAY_URL"
                ));
            });
            Some(url)
        };
        self.gateway_url.clone().or_else(old)
    }

    /// Returns a connector to the gateway at this host, with the proxy from the environment and these certificates.
    pub(crate) fn connector(&self, host: &str) -> Connector {
        let files = self.client_certificate.clone().zip(self.client_key.clone());
        let certificate = files.map(|(certificate, key)| ClientCertificate {
            hosts: vec![host.trim_matches(['[', ']']).to_owned()],
            certificate,
            key,
        });
        Connector::new(ConnectorOptions {
            authorities: self.ca_file.clone(),
            client_certificates: certificate.into_iter().collect(),
            ..ConnectorOptions::default()
        })
    }
}

impl Deref for SiteArgs {
    type Target = FileArgs;

    fn deref(&self) -> &FileArgs {
        &self.files
    }
}

/// Rewrites `--gateway URL`, as older releases wrote it, to `--gateway-url URL`, with a warning. `--gateway` names a
/// gateway, and no name contains `:`, `/` or `.`.
pub(crate) fn lifted(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_url = |text: &str| text.contains([':', '/', '.']);
    let mut is_old = false;
    let mut lifted: Vec<OsString> = Vec::new();
    let mut literal = false;
    for arg in args {
        let text = arg.to_string_lossy().into_owned();
        let last = lifted.last_mut().filter(|last| *last == "--gateway");
        let arg = match (text.strip_prefix("--gateway="), last) {
            _ if literal => arg,
            (Some(url), _) if is_url(url) => {
                is_old = true;
                format!("--gateway-url={url}").into()
            }
            (_, Some(flag)) if is_url(&text) => {
                is_old = true;
                *flag = "--gateway-url".into();
                arg
            }
            _ => arg,
        };
        literal = literal || text == "--";
        lifted.push(arg);
    }
    if is_old {
        output::note("warning: `--gateway URL` is deprecated; use --gateway-url");
    }
    lifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_and_gateway_name_are_distinguished() {
        let args = |line: &str| -> String {
            let words = line.split(' ').map(OsString::from);
            let words = lifted(words).into_iter();
            let words: Vec<String> = words.map(|word| word.into_string().unwrap()).collect();
            words.join(" ")
        };
        for (typed, meant) in [
            ("x ps --gateway https://a", "x ps --gateway-url https://a"),
            ("x --gateway=http://a ps", "x --gateway-url=http://a ps"),
            (
                "x tools --gateway ops --gateway https://a",
                "x tools --gateway ops --gateway-url https://a",
            ),
            (
                "x call s t -- --gateway https://a",
                "x call s t -- --gateway https://a",
            ),
            ("x tools --gateway ops", "x tools --gateway ops"),
            (
                "x tools --gateway 127.0.0.1:8080",
                "x tools --gateway-url 127.0.0.1:8080",
            ),
        ] {
            assert_eq!(args(typed), meant);
        }
    }
}
