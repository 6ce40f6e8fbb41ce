//! A directory with a configuration of scripted servers, and helpers that run the program in it.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where its ground does not hold"
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A secret that must not leak.
pub(crate) const CANARY: &str = "canary-3f9a7c51e2";

/// A configuration in a temporary directory.
pub(crate) struct Site {
    dir: TempDir,
    /// The state directory.
    pub(crate) state: PathBuf,
}

/// The output and exit code of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl CommandOutput {
    /// Returns the standard output. Panics if the command failed.
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out.clone()
    }

    /// Like [`ok`](Self::ok), parsed as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.ok()).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Site {
    /// Creates a site with three servers: one with tools, one with a secret, and one that cannot start.
    pub(crate) fn with_servers() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server.sh");
        let script = script.display();
        let text = format!(
            "# mine\nlisten: 127.0.0.1:0\nservers:\n  math:\n    command: [sh, \"{script}\"]\n  \
             secretive:\n    command: [sh, \"{script}\"]\n    env: {{SECRET: \"${{SECRET_VALUE}}\"}}\n  \
             broken:\n    command: [sh, -c, \"echo 'out of order' >&2; exit 3\"]\n"
        );
        let state = dir.path().join("state");
        let site = Self { dir, state };
        site.write(&text);
        site
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir().join("mcp-orchestrator.yaml")
    }

    pub(crate) fn read(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(self.config(), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.dir(), args);
        command
            .env("SECRET_VALUE", CANARY)
            .arg("--config")
            .arg(self.config())
            .arg("--state-dir")
            .arg(&self.state);
        command
    }

    /// Runs a command with this configuration. Arguments after `--` stay last.
    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        self.run_env(args, &[])
    }

    pub(crate) fn run_env(&self, args: &[&str], env: &[(&str, &str)]) -> CommandOutput {
        let mut command = self.ordered(args);
        command.envs(env.iter().copied());
        finish(command, "")
    }

    /// Like [`run`](Self::run), with this standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> CommandOutput {
        finish(self.ordered(args), input)
    }

    fn ordered(&self, args: &[&str]) -> Command {
        let last = args
            .iter()
            .position(|arg| matches!(*arg, "--" | "--command"));
        let (before, after) = args.split_at(last.unwrap_or(args.len()));
        let mut command = self.command(before);
        command.args(after);
        command
    }

    /// Starts the gateway and waits until it listens.
    pub(crate) fn up(&self) -> RunningGateway {
        let log = File::create(self.dir().join("up.log")).unwrap();
        let mut child = self
            .command(&["up", "--log-level", "trace", "--grace", "5"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let log = || fs::read_to_string(self.dir().join("up.log")).unwrap_or_default();
        let address = address
            .unwrap_or_else(|| panic!("{line:?}\n{}", log()))
            .to_owned();
        RunningGateway { child, address }
    }

    /// Starts a command with its standard output as a pipe.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Starts a command and reads its output line by line.
    pub(crate) fn follow(&self, args: &[&str]) -> Follow {
        let mut child = self.start(args);
        let out = BufReader::new(child.stdout.take().unwrap());
        Follow { child, out }
    }

    /// Returns the process ID of a server's running instance.
    pub(crate) fn pid(&self, server: &str) -> Option<String> {
        let all = self.run(&["ps", "-o", "json"]).json();
        let mut all = all.as_array().unwrap().iter();
        let found = all.find(|one| one["server"] == server && one["state"] == "running")?;
        found["place"]["pid"].as_str().map(str::to_owned)
    }
}

/// A running gateway.
pub(crate) struct RunningGateway {
    child: Child,
    address: String,
}

impl RunningGateway {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the gateway with SIGTERM and waits for its exit.
    pub(crate) fn end(&mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills the gateway and waits for its exit.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RunningGateway {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A running command.
pub(crate) struct Follow {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Follow {
    /// Reads until a line matches, and returns it.
    pub(crate) fn until(&mut self, fits: impl Fn(&str) -> bool) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it ended before");
            if fits(&line) {
                return line;
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command in a directory, without naming a configuration.
pub(crate) fn bare(folder: &Path, args: &[&str]) -> CommandOutput {
    finish(program(folder, args), "")
}

/// Like [`bare`], with these environment variables.
pub(crate) fn bare_with(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> CommandOutput {
    let mut command = program(folder, args);
    command.envs(env.iter().copied());
    finish(command, "")
}

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator"));
    let home = folder.join("home");
    command
        .args(args)
        .current_dir(folder)
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("MCP_ORCHESTRATOR_CONFIG")
        .env_remove("MCP_ORCHESTRATOR_LOG");
    command
}

fn finish(mut command: Command, input: &str) -> CommandOutput {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may exit without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    CommandOutput {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}
