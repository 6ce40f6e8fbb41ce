//! Runs the gateway as a program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::scripted::program;
use crate::wait::within;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its process.
    pub child: Child,
    /// Its configuration file.
    pub config: PathBuf,
    _folder: Option<TempDir>,
}

impl Program {
    /// Runs it with this configuration and additional environment variables; standard error goes to a file.
    ///
    /// # Panics
    /// If it does not start to listen.
    pub async fn run(config: &str, env: &[(&str, &str)], errors: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let file = folder.path().join("config.json");
        std::fs::write(file, config).expect("a file in a folder of our own");
        let args = ["--listen", "127.0.0.1:0", "--log-level", "trace"];
        let mut program = Self::run_in(folder.path(), &args, env, errors).await;
        program._folder = Some(folder);
        program
    }

    /// Runs it in this folder, which contains `config.json` and its state, with additional arguments and variables;
    /// standard error goes to a file.
    ///
    /// # Panics
    /// If it does not start to listen.
    pub async fn run_in(folder: &Path, args: &[&str], env: &[(&str, &str)], errors: &Path) -> Self {
        let command = Command::new(program("tested-gateway"));
        Self::run_by(command, folder, args, env, errors).await
    }

    /// Runs it in this folder with a command that takes its arguments, such as a script that sets limits first.
    ///
    /// # Panics
    /// If it does not start to listen.
    pub async fn run_by(
        mut command: Command,
        folder: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        errors: &Path,
    ) -> Self {
        let file = folder.join("config.json");
        let errors = std::fs::File::options()
            .create(true)
            .append(true)
            .open(errors)
            .expect("a file for errors");
        let mut child = command
            .arg("--config")
            .arg(&file)
            .args(args)
            .arg("--state-dir")
            .arg(folder.join("state"))
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("the gateway starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        within("the gateway's address", stdout.read_line(&mut line))
            .await
            .expect("its output is text");
        let address = line
            .trim()
            .rsplit('/')
            .next()
            .and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let mut rest = String::new();
            let _ = stdout.read_to_string(&mut rest).await;
            panic!("no address: {line}{rest}");
        };
        Self {
            address,
            child,
            config: file,
            _folder: None,
        }
    }

    /// Returns its process id.
    ///
    /// # Panics
    /// If it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Returns a client of it.
    pub fn client(&self) -> Client {
        Client::new(self.address, "local")
    }
}
