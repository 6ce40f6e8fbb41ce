//! Which configuration is meant, and the gateway that runs it.

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{LoadOptions, Settings, load, state_dir_of};
use mcp_orchestrator_gateway::args::FileArgs;
use mcp_orchestrator_gateway::control::{Client, ClientError};
use mcp_orchestrator_gateway::discover::config_files;

use secrecy::SecretString;

use crate::args::{ElsewhereArgs, SiteArgs};
use crate::exit::{Exit, Failure};

/// Where a token for a gateway elsewhere is.
const TOKEN: &str = "MCP_ORCHESTRATOR_TOKEN";

/// A configuration and its state directory, found as the gateway finds them.
#[derive(Debug)]
pub(crate) struct Site {
    /// The files; none where only the state directory was named.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) options: LoadOptions,
    pub(crate) state_dir: PathBuf,
    /// The gateway that is meant in the place of that of the files.
    elsewhere: Option<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    url: String,
    client: Client,
}

impl Site {
    /// Finds it. What else is wrong with the configuration does not matter here.
    pub(crate) fn find(args: &SiteArgs) -> Result<Self, Failure> {
        match &args.elsewhere.gateway_url {
            None => Self::here(args),
            Some(url) => Ok(Self {
                files: Vec::new(),
                options: LoadOptions::default(),
                state_dir: PathBuf::new(),
                elsewhere: Some(elsewhere(url, &args.elsewhere)?),
            }),
        }
    }

    /// That of this machine.
    pub(crate) fn here(args: &FileArgs) -> Result<Self, Failure> {
        let options = args.load_options().map_err(Failure::usage)?;
        let files = match (config_files(&args.config), &args.state_dir) {
            (Ok(files), _) => files,
            (Err(_), Some(_)) => Vec::new(),
            (Err(none), None) => return Err(Failure::usage(none)),
        };
        if let Some(missing) = files.iter().find(|file| !file.exists()) {
            let text = format!("{} is not there", missing.display());
            return Err(Failure::usage(text));
        }
        let state_dir = state_dir_of(&files, &options).ok_or_else(|| {
            Failure::usage("no place for a state directory is known: name it by --state-dir")
        })?;
        Ok(Self {
            files,
            options,
            state_dir,
            elsewhere: None,
        })
    }

    /// The gateway that runs this configuration, if one does.
    pub(crate) fn client(&self) -> Client {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.client.clone(),
            None => Client::of(&self.state_dir),
        }
    }

    /// The settings.
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

    /// Whether clients of the gateway need a token, as far as the configuration tells.
    pub(crate) fn wants_token(&self) -> bool {
        let settings = self.settings();
        self.elsewhere.is_some()
            || settings.is_ok_and(|settings| !settings.auth.is_single_principal())
    }

    /// An answer of the gateway; where none runs, how to start the right one.
    pub(crate) fn told<T>(&self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        answer.map_err(|error| match error {
            ClientError::NotRunning(_) => self.not_running(),
            other => other.into(),
        })
    }

    /// Says that none runs, and how to start the right one.
    pub(crate) fn not_running(&self) -> Failure {
        if let Some(elsewhere) = &self.elsewhere {
            let text = format!("no gateway answers at {}", elsewhere.url);
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

/// Whom a gateway elsewhere is asked as, never from the arguments: other users of this machine see those.
fn elsewhere(url: &str, args: &ElsewhereArgs) -> Result<Elsewhere, Failure> {
    let token = match &args.token_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?,
        None => std::env::var(TOKEN).map_err(|_| {
            Failure::usage(format!(
                "{url} is asked with a token: put one into the variable {TOKEN}, or name its file by --token-file"
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

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
