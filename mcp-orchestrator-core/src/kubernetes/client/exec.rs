//! Credential plugins: the programs that a kubeconfig names under `exec`. They return a token, a client certificate,
//! or both.
//!
//! kube runs them as well, but gives a certificate only to its own TLS, and asks for another token only if the plugin
//! reported when the current one expires.

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use k8s_openapi::jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::errors::AccessError;

/// Maximum length of a plugin's error output in an error message, in characters.
const MAX_STDERR_LEN: usize = 300;

/// The output of a plugin.
#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Returns `true` if these credentials come from a plugin: a token, a token file, an auth provider or a password in
/// the kubeconfig takes precedence over it.
pub(crate) fn is_asked(auth: &AuthInfo) -> bool {
    let named = auth.token.is_some() || auth.token_file.is_some() || auth.auth_provider.is_some();
    let password = auth.username.is_some() && auth.password.is_some();
    auth.exec.is_some() && !named && !password
}

/// Runs the plugin, if there is one, and stores its credentials in `auth`. Returns when they expire, if the plugin
/// says so. Blocks.
pub(crate) fn authenticate(auth: &mut AuthInfo) -> Result<Option<Timestamp>, AccessError> {
    let Some(exec) = auth.exec.clone().filter(|_| is_asked(auth)) else {
        return Ok(None);
    };
    let wrong = |why: &str| {
        let command = exec.command.as_deref().unwrap_or_default();
        AccessError::Credentials(format!("program {command} {why}"))
    };
    let printed = run(&exec)?;
    // Malformed output is not quoted in the error, because it may contain secrets.
    let printed: Printed =
        serde_json::from_slice(&printed).map_err(|_| wrong("prints no ExecCredential in JSON"))?;
    let status = printed.status.ok_or_else(|| wrong("prints no status"))?;
    let encoded = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
    match (status.client_certificate_data, status.client_key_data) {
        (Some(certificate), Some(key)) => {
            auth.client_certificate_data = Some(encoded(certificate));
            auth.client_key_data = Some(encoded(key).into());
        }
        (None, None) if status.token.is_some() => {}
        (None, None) => return Err(wrong("gives neither a token nor a certificate")),
        _ => {
            return Err(wrong(
                "gives one of clientCertificateData and clientKeyData",
            ));
        }
    }
    auth.token = status.token.map(Into::into);
    auth.exec = None;
    Ok(status.expiration_timestamp)
}

/// Runs the plugin and returns its output.
fn run(exec: &ExecConfig) -> Result<Vec<u8>, AccessError> {
    let name = exec.command.as_deref().unwrap_or_default();
    let wrong = |why: String| AccessError::Credentials(format!("program {name:?} {why}"));
    // Without a terminal, a plugin that prompts would wait forever.
    let never = exec.interactive_mode == Some(ExecInteractiveMode::Never);
    let interactive = !never && std::io::stdin().is_terminal();
    if !interactive && exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(wrong("needs a terminal, and there is none".to_owned()));
    }
    let mut spec = json!({ "interactive": interactive });
    if exec.provide_cluster_info {
        spec["cluster"] = serde_json::to_value(&exec.cluster).unwrap_or_default();
    }
    let info = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    let mut command = Command::new(name);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    let (input, errors) = match interactive {
        true => (Stdio::inherit(), Stdio::inherit()),
        false => (Stdio::null(), Stdio::piped()),
    };
    let ran = command.stdin(input).stderr(errors).output();
    let ran = ran.map_err(|error| {
        let hint = exec.install_hint.as_deref().unwrap_or_default();
        wrong(
            format!("cannot be run: {error} {hint}")
                .trim_end()
                .to_owned(),
        )
    })?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let said: String = said.trim().chars().take(MAX_STDERR_LEN).collect();
        return Err(wrong(format!("failed: {}: {said}", ran.status)));
    }
    Ok(ran.stdout)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn asked(printed: &str) -> (AuthInfo, Result<Option<Timestamp>, AccessError>) {
        let mut auth: AuthInfo = serde_json::from_value(json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
            "args": ["-c", "printf %s \"$PRINTED\"; echo why >&2; exit ${CODE:-0}"],
            "env": [{ "name": "PRINTED", "value": printed }],
        } }))
        .unwrap();
        let asked = authenticate(&mut auth);
        (auth, asked)
    }

    #[test]
    fn exec_credentials_are_applied_to_the_auth_info() {
        let (auth, until) =
            asked(r#"{"status":{"token":"t","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#);
        assert_eq!(until.unwrap().unwrap().to_string(), "2030-01-01T00:00:00Z");
        assert_eq!(auth.token.unwrap().expose_secret(), "t");
        assert!(auth.exec.is_none());
        let (auth, until) =
            asked(r#"{"status":{"clientCertificateData":"c","clientKeyData":"k"}}"#);
        assert_eq!(until.unwrap(), None);
        assert_eq!(auth.client_certificate_data.as_deref(), Some("Yw=="));
    }

    #[test]
    fn invalid_exec_output_is_reported_without_quoting_it() {
        for printed in [
            "canary",
            "{}",
            r#"{"status":{}}"#,
            r#"{"status":{"clientKeyData":"canary"}}"#,
        ] {
            let error = asked(printed).1.unwrap_err().to_string();
            assert!(error.contains("sh") && !error.contains("canary"), "{error}");
        }
        let mut none: AuthInfo =
            serde_json::from_value(json!({ "exec": { "command": "/nowhere/login" } })).unwrap();
        let error = authenticate(&mut none).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/login") && error.contains("cannot be run"),
            "{error}"
        );
    }
}
