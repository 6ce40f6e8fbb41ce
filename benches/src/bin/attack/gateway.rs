//! The gateway program under attack.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::Failure;

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Gateway {
    pub(crate) async fn start(
        program: &Path,
        honest: SocketAddr,
        hostile: SocketAddr,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let echo = std::env::current_exe()?.with_file_name("echo_upstream");
        let config = json!({
            "auth": {"tokens": true},
            "servers": {
                "up": {"url": format!("http://{honest}/mcp")},
                "pipe": {"command": [echo, "--stdio"]},
                "hostile": {"url": format!("http://{hostile}/mcp")},
            },
        });
        let file = folder.path().join("config.json");
        std::fs::write(&file, config.to_string())?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(program)
            .arg("--config")
            .arg(&file)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(["--listen", "127.0.0.1:0", "--log-level", "warn"])
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split(['/', ' ']).next())
            .ok_or_else(|| format!("the gateway did not start: {line}"))?
            .parse()?;
        Ok(Self {
            address,
            child,
            folder,
        })
    }

    /// Creates a token for a user.
    pub(crate) async fn token(&self, user: &str) -> Result<String, Failure> {
        let mut socket = UnixStream::connect(self.folder.path().join("state/control.sock")).await?;
        let body = json!({"subject": format!("user/{user}")}).to_string();
        let request = format!(
            "POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let token = answer
            .split("\"token\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .ok_or_else(|| format!("no token: {answer}"))?;
        Ok(token.to_owned())
    }

    pub(crate) fn resident_mib(&self) -> Result<usize, Failure> {
        let pid = self.child.id().ok_or("the gateway has exited")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no VmRSS")?.trim().parse::<usize>()? / 1024)
    }

    /// Stops the gateway.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}
