//! Which configuration is meant, and the gateway that runs it.

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{LoadOptions, Settings, load, state_dir_of};
use mcp_orchestrator_gateway::args::FileArgs;
use mcp_orchestrator_gateway::control::{Client, ClientError};
use mcp_orchestrator_gateway::discover::config_files;

use crate::exit::{Exit, Failure};

/// A configuration and its state directory, found as the gateway finds them.
#[derive(Debug)]
pub(crate) struct Site {
    /// The files; none where only the state directory was named.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) options: LoadOptions,
    pub(crate) state_dir: PathBuf,
}

impl Site {
    /// Finds it. What else is wrong with the configuration does not matter here.
    pub(crate) fn find(args: &FileArgs) -> Result<Self, Failure> {
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
        })
    }

    /// The gateway that runs this configuration, if one does.
    pub(crate) fn client(&self) -> Client {
        Client::of(&self.state_dir)
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage(config_files(&[]).err().unwrap_or_default()));
        }
        let loaded = load(&self.files, &self.options).map_err(Failure::usage)?;
        Ok(loaded.settings)
    }

    /// An answer of the gateway; where none runs, how to start the right one.
    pub(crate) fn told<T>(&self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        answer.map_err(|error| match error {
            ClientError::NotRunning(_) => self.not_running(),
            other => other.into(),
        })
    }

    fn not_running(&self) -> Failure {
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
        Failure {
            message: format!(
                "no gateway runs for {what} (state directory {})\n  start one by `mcp-orchestrator up{flags}`",
                self.state_dir.display()
            ),
            exit: Exit::NotRunning,
        }
    }
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
