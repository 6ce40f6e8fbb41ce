//! Runs other programs: found in `PATH`, run without a shell, each with a timeout.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::exit::Failure;

/// An executable in `PATH`.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    path: PathBuf,
}

impl Tool {
    /// Returns the first executable file with this name in `PATH`.
    pub(crate) fn find(name: &'static str) -> Option<Self> {
        let folders = std::env::var_os("PATH")?;
        let path = std::env::split_paths(&folders)
            .map(|folder| folder.join(name))
            .find(|path| runs(path))?;
        Some(Self { name, path })
    }

    /// Returns `true` if the program succeeds. Its output is discarded.
    pub(crate) async fn succeeds(&self, args: &[&str], patience: Duration) -> bool {
        let ran = self.output(args, patience).await;
        ran.is_ok_and(|output| output.status.success())
    }

    /// Runs the program and returns its standard output.
    pub(crate) async fn read(&self, args: &[&str], patience: Duration) -> Result<String, Failure> {
        let output = self.output(args, patience).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            return Err(self.ended(args, output.status, last));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the program with this standard input. Its output goes to standard error.
    pub(crate) async fn run(
        &self,
        args: &[&str],
        input: &str,
        patience: Duration,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::failed(format!("{} cannot be run: {error}", self.name));
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(std::io::stderr());
        let mut child = command.spawn().map_err(failed)?;
        let work = async {
            if let Some(mut stdin) = child.stdin.take() {
                // The program may exit without reading its input; its exit status then gives the reason.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            child.wait().await
        };
        let status = timeout(patience, work).await;
        let status = status.map_err(|_| self.late(args, patience))?;
        let status = status.map_err(failed)?;
        match status.success() {
            true => Ok(()),
            false => Err(self.ended(args, status, "")),
        }
    }

    async fn output(&self, args: &[&str], patience: Duration) -> Result<Output, Failure> {
        let mut command = self.command(args);
        let output = timeout(patience, command.stdin(Stdio::null()).output()).await;
        let output = output.map_err(|_| self.late(args, patience))?;
        output.map_err(|error| Failure::failed(format!("{} cannot be run: {error}", self.name)))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args.iter().map(OsStr::new)).kill_on_drop(true);
        command
    }

    fn ended(&self, args: &[&str], status: ExitStatus, said: &str) -> Failure {
        let colon = if said.is_empty() { "" } else { ": " };
        let args = args.join(" ");
        Failure::failed(format!(
            "{} {args} ended with {status}{colon}{said}",
            self.name
        ))
    }

    fn late(&self, args: &[&str], patience: Duration) -> Failure {
        let (args, seconds) = (args.join(" "), patience.as_secs());
        Failure::failed(format!(
            "{} {args} did not end within {seconds} s",
            self.name
        ))
    }
}

fn runs(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = path.metadata();
    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
