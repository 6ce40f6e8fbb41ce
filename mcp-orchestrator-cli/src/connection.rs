//! Finds the configuration that a command is about, and the gateway that runs it.

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{LoadOptions, Settings, load, state_dir_of};
use mcp_orchestrator_gateway::args::FileArgs;
use mcp_orchestrator_gateway::control::{Client, ClientError};
use mcp_orchestrator_gateway::discover::config_files;

use secrecy::SecretString;

use crate::exit::{Exit, Failure};
use crate::site_args::{ElsewhereArgs, SiteArgs};

/// The environment variable with the token for a remote gateway.
const TOKEN: &str = "MCP_ORCHESTRATOR_TOKEN";

/// A configuration and its state directory, found as the gateway finds them.
#[derive(Debug)]
pub(crate) struct Site {
    /// The configuration files; empty if only the state directory was given.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) options: LoadOptions,
    pub(crate) state_dir: PathBuf,
    /// A remote gateway, which is used instead of the one of the files.
    elsewhere: Option<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    url: String,
    client: Client,
}

impl Site {
    /// Finds the configuration or the remote gateway. The contents of the configuration are not validated.
    pub(crate) fn find(args: &SiteArgs) -> Result<Self, Failure> {
        match args.elsewhere.url() {
            None => Self::here(args),
            Some(url) => Ok(Self {
                files: Vec::new(),
                options: LoadOptions::default(),
                state_dir: PathBuf::new(),
                elsewhere: Some(elsewhere(&url, &args.elsewhere)?),
            }),
        }
    }

    /// Finds the configuration on this machine.
    pub(crate) fn here(args: &FileArgs) -> Result<Self, Failure> {
        let options = args.load_options().map_err(Failure::usage)?;
        let files = match (config_files(&args.config), &args.state_dir) {
            (Ok(files), _) => files,
            (Err(_), Some(_)) => Vec::new(),
            (Err(none), None) => return Err(Failure::usage(none)),
        };
        if let Some(missing) = files.iter().find(|file| !file.exists()) {
            let text = format!(
                "configuration {} does not exist; `mcp-orchestrator add` creates one",
                missing.display()
            );
            return Err(Failure::usage(text));
        }
        let state_dir = state_dir_of(&files, &options).ok_or_else(|| {
            Failure::usage(
                "cannot choose a state directory, because HOME is not set; use --state-dir",
            )
        })?;
        Ok(Self {
            files,
            options,
            state_dir,
            elsewhere: None,
        })
    }

    /// Returns a client for the gateway that runs this configuration. Does not connect.
    pub(crate) fn client(&self) -> Client {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.client.clone(),
            None => Client::of(&self.state_dir),
        }
    }

    /// Loads the settings. Fails for a remote gateway.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        if let Some(elsewhere) = &self.elsewhere {
            let text = format!("the configuration of {} is not here", elsewhere.url);
            return Err(Failure::usage(text));
        }
        if self.files.is_empty() {
            return Err(Failure::usage(config_files(&[]).err().unwrap_or_default()));
        }
        let loaded = load(&self.files, &self.options).map_err(Failure::usage)?;
        Ok(loaded.settings)
    }

    /// Returns `true` if clients of the gateway need a token, according to the configuration.
    pub(crate) fn wants_token(&self) -> bool {
        let settings = self.settings();
        self.elsewhere.is_some()
            || settings.is_ok_and(|settings| !settings.auth.is_single_principal())
    }

    /// Converts a response of the gateway. If no gateway runs, the error says how to start one.
    pub(crate) fn told<T>(&self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        answer.map_err(|error| match error {
            ClientError::NotRunning(_) => self.not_running(),
            other => other.into(),
        })
    }

    /// Returns the error for a gateway that does not run, with the command to start it.
    pub(crate) fn not_running(&self) -> Failure {
        if let Some(elsewhere) = &self.elsewhere {
            let text = format!("no gateway responds at {}", elsewhere.url);
            return Failure::new(text, Exit::NotRunning);
        }
        let files: Vec<String> = self.files.iter().map(|file| quoted(file)).collect();
        let flags: String = files
            .iter()
            .map(|file| format!(" --config {file}"))
            .collect();
        let what = if files.is_empty() {
            self.state_dir.display().to_string()
        } else {
            files.join(" and ")
        };
        let text = format!(
            "no gateway is running for {what} (state directory {})\n  start one with `mcp-orchestrator up{flags}`",
            self.state_dir.display()
        );
        Failure::new(text, Exit::NotRunning)
    }
}

/// Connects to a remote gateway. The token is never taken from the arguments, which other users of this machine can
/// see.
fn elsewhere(url: &str, args: &ElsewhereArgs) -> Result<Elsewhere, Failure> {
    if !url.contains("://") {
        let text =
            format!("--gateway-url {url}: the URL has no scheme; did you mean http://{url}?");
        return Err(Failure::usage(text));
    }
    let token = match &args.token_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?,
        None => std::env::var(TOKEN).map_err(|_| {
            Failure::usage(format!(
                "a remote gateway requires a token: set {TOKEN}, or use --token-file\n  \
                 an admin creates one with `mcp-orchestrator token create --user NAME`, with --admin for all commands"
            ))
        })?,
    };
    let token = SecretString::from(token.trim());
    let uri = url.parse::<http::Uri>().unwrap_or_default();
    let connector = args.connector(uri.host().unwrap_or_default());
    let client = Client::at(url, token, connector).map_err(Failure::usage)?;
    Ok(Elsewhere {
        url: url.to_owned(),
        client,
    })
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
