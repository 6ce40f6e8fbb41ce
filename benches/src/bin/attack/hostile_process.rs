//! Runs the attackers and their server in a separate process with the lowest priority.
//!
//! Attackers run on other machines. Here they share the processors with the gateway and with the honest callers, and the
//! time that they take for themselves must not count as an effect on these.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::attackers::{self, Counters};
use crate::{Failure, hostile_server};

/// The option that makes this program the hostile side.
pub(crate) const OPTION: &str = "--hostile";

/// Runs the hostile side. It prints the address of its server, attacks when it reads a gateway's address and a token,
/// and prints what it achieved when its standard input ends.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) async fn run(idle: usize) -> Result<(), Failure> {
    let (mut tasks, counters) = (JoinSet::new(), Counters::default());
    println!("{}", hostile_server::serve(&mut tasks).await?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    if let Some(line) = lines.next_line().await? {
        let (address, token) = line.split_once(' ').ok_or("not an address and a token")?;
        attackers::start(&mut tasks, (address.parse()?, token), idle, &counters);
    }
    while lines.next_line().await?.is_some() {}
    tasks.shutdown().await;
    println!("{counters}");
    Ok(())
}

/// The running hostile side.
pub(crate) struct Hostile {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// The address of its MCP server.
    pub(crate) server: SocketAddr,
}

impl Hostile {
    pub(crate) async fn start(idle: usize) -> Result<Self, Failure> {
        let mut child = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args([OPTION, "--idle", &idle.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let server = lines.next_line().await?.ok_or("it did not start")?;
        Ok(Self {
            child,
            stdin,
            lines,
            server: server.parse()?,
        })
    }

    /// Starts all attacks, as a user with this token and as strangers.
    pub(crate) async fn attack(&mut self, to: SocketAddr, token: &str) -> Result<(), Failure> {
        let line = format!("{to} {token}\n");
        Ok(self.stdin.write_all(line.as_bytes()).await?)
    }

    /// Ends all attacks, and returns what they achieved.
    pub(crate) async fn stop(mut self) -> Result<String, Failure> {
        drop(self.stdin);
        let achieved = self.lines.next_line().await?.ok_or("it broke off")?;
        self.child.wait().await?;
        Ok(achieved)
    }
}
