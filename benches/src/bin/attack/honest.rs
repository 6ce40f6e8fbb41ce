//! The honest side: an echo server, and principals that call it at a fixed rate.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mcp_orchestrator_benches::echo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::Failure;
use crate::gateway::Gateway;
use crate::http::Connection;

/// A call that takes longer counts as failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// After this many calls a principal reconnects, which checks that the listener still accepts.
const CALLS_PER_CONNECTION: u64 = 40;

/// Serves the echo tool over HTTP.
pub(crate) async fn serve(tasks: &mut JoinSet<()>) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move { drop(answer_all(stream).await) });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

async fn answer_all(mut stream: TcpStream) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(Ok(0), str::parse)?;
        if buffer.len() < end + 4 + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        }
        let response = match echo::answer(&buffer[end + 4..end + 4 + length]) {
            Some(body) => {
                let mut bytes = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                bytes.extend_from_slice(&body);
                bytes
            }
            None if head.starts_with("post") => {
                b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec()
            }
            None => b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_vec(),
        };
        stream.write_all(&response).await?;
        buffer.drain(..end + 4 + length);
    }
}

/// The results of the honest principals in one phase.
#[derive(Default)]
pub(crate) struct Outcome {
    took: Vec<Duration>,
    errors: Vec<String>,
}

impl Outcome {
    pub(crate) fn failed(&self) -> usize {
        self.errors.len()
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = self.took.len().saturating_sub(1) * percent / 100;
        self.took.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} calls, {} failed, p50 {:>7.2?}, p99 {:>7.2?}, max {:>7.2?}",
            self.took.len() + self.errors.len(),
            self.errors.len(),
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
        )?;
        for error in self.errors.iter().take(3) {
            write!(f, "\n    {error}")?;
        }
        Ok(())
    }
}

/// The honest principals, each with a legacy session.
pub(crate) struct Callers {
    callers: Vec<Caller>,
    rate: u64,
}

impl Callers {
    pub(crate) async fn open(gateway: &Gateway, count: usize, rate: u64) -> Result<Self, Failure> {
        let mut callers = Vec::new();
        for number in 0..count {
            let token = gateway.token(&format!("honest-{number}")).await?;
            // Every other principal calls the child process.
            let tool = if number % 2 == 0 {
                "up__echo"
            } else {
                "pipe__echo"
            };
            callers.push(Caller::open(gateway.address, &token, tool).await?);
        }
        Ok(Self { callers, rate })
    }

    /// Calls at the fixed rate for one phase. A late answer delays no other principal's calls.
    pub(crate) async fn run(&mut self, phase: Duration) -> Outcome {
        let pause = Duration::from_secs(1) / u32::try_from(self.rate).unwrap_or(1);
        let mut running = JoinSet::new();
        for mut caller in self.callers.drain(..) {
            running.spawn(async move {
                let mut outcome = Outcome::default();
                let end = Instant::now() + phase;
                let mut tick = interval(pause);
                tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
                while Instant::now() < end {
                    tick.tick().await;
                    let started = Instant::now();
                    match timeout(CALL_TIMEOUT, caller.call()).await {
                        Ok(Ok(())) => outcome.took.push(started.elapsed()),
                        Ok(Err(error)) => outcome.errors.push(error.to_string()),
                        Err(_) => outcome.errors.push("no answer in time".to_owned()),
                    }
                }
                (caller, outcome)
            });
        }
        let mut all = Outcome::default();
        while let Some(Ok((caller, outcome))) = running.join_next().await {
            self.callers.push(caller);
            all.took.extend(outcome.took);
            all.errors.extend(outcome.errors);
        }
        all.took.sort_unstable();
        all
    }
}

struct Caller {
    address: SocketAddr,
    head: String,
    tool: &'static str,
    connection: Option<Connection>,
    calls: u64,
}

impl Caller {
    async fn open(address: SocketAddr, token: &str, tool: &'static str) -> Result<Self, Failure> {
        let mut connection = Connection::from(Ipv4Addr::LOCALHOST, address).await?;
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nauthorization: Bearer {token}\r\n"
        );
        let initialize = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
            \"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"honest\",\"version\":\"1\"}}}";
        let session = connection.exchange(&head, initialize).await?.session;
        let session = session.ok_or("initialize made no session")?;
        head += &format!("mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
        let initialized = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
        connection.exchange(&head, initialized).await?;
        let mut caller = Self {
            address,
            head,
            tool,
            connection: Some(connection),
            calls: 0,
        };
        caller.call().await?;
        Ok(caller)
    }

    async fn call(&mut self) -> Result<(), Failure> {
        self.calls += 1;
        let mut connection = match self.connection.take() {
            Some(connection) if !self.calls.is_multiple_of(CALLS_PER_CONNECTION) => connection,
            _ => Connection::from(Ipv4Addr::LOCALHOST, self.address).await?,
        };
        let (id, text) = (self.calls, format!("{:064}", self.calls));
        let call = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":\
             {{\"name\":\"{}\",\"arguments\":{{\"message\":\"{text}\"}}}}}}",
            self.tool
        );
        let answer = connection.exchange(&self.head, &call).await?;
        let expected = format!(
            "\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}"
        );
        let body = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 || !body.contains(&expected) {
            return Err(format!("status {}: {:.200}", answer.status, body).into());
        }
        self.connection = Some(connection);
        Ok(())
    }
}
