//! Load generator: several connections, each with its own legacy session, that call the tool `echo` sequentially and
//! check each answer. Prints one line of JSON: calls per second, percentiles, and the CPU time per call of the given
//! processes.
//!
//! It writes and reads HTTP by hand, to take as little as possible of the cores that it shares with what it measures. A
//! token in the variable `LOAD_TOKEN` is sent with each request.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Calls the tool `echo` repeatedly
#[derive(Clone, Parser)]
struct Args {
    /// The endpoint's address
    #[arg(long)]
    address: SocketAddr,
    /// The endpoint's path
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// The tool's name at the endpoint
    #[arg(long, default_value = "echo")]
    tool: String,
    /// Connections, each with its own session
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Calls of all connections in total
    #[arg(long, default_value_t = 20_000)]
    calls: u32,
    /// Time limit for the whole run, in seconds
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Processes to measure the CPU time of
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    tokio::time::timeout(Duration::from_secs(args.limit), run(args)).await?
}

#[expect(clippy::print_stdout, reason = "the numbers are the output")]
async fn run(args: Args) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        let mut client = Client::open(&args).await?;
        // Warms up connections and lists before the measurement.
        client.calls(20).await?;
        clients.push(client);
    }
    let before = cpu(&args.pids)?;
    let started = Instant::now();
    let mut running = JoinSet::new();
    for mut client in clients {
        let calls = args.calls / args.connections;
        running.spawn(async move { client.calls(calls).await });
    }
    let mut took = Vec::new();
    while let Some(done) = running.join_next().await {
        took.extend(done??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu(&args.pids)? - before;
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_micros();
    let calls = took.len() as f64;
    println!(
        "{{\"calls_per_s\":{:.0},\"p50_us\":{},\"p99_us\":{},\"cpu_us\":{:.2}}}",
        calls / seconds,
        at(50),
        at(99),
        cpu.as_secs_f64() * 1e6 / calls
    );
    Ok(())
}

/// Returns the user and system time of these processes.
fn cpu(pids: &[u32]) -> Result<Duration, Failure> {
    /// The unit of `/proc/PID/stat` on every Linux.
    const TICK: Duration = Duration::from_millis(10);
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let mut times = after_name.split_whitespace().skip(11);
        for _ in 0..2 {
            ticks += times.next().ok_or("no times")?.parse::<u32>()?;
        }
    }
    Ok(TICK * ticks)
}

/// One connection with its session.
struct Client {
    stream: TcpStream,
    head: String,
    tool: String,
    buffer: Vec<u8>,
    next: u64,
}

impl Client {
    async fn open(args: &Args) -> Result<Self, Failure> {
        let stream = TcpStream::connect(args.address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nuser-agent: load\r\n",
            args.path, args.address
        );
        let head = match std::env::var("LOAD_TOKEN") {
            Ok(token) if !token.is_empty() => format!("{head}authorization: Bearer {token}\r\n"),
            _ => head,
        };
        let mut client = Self {
            stream,
            head,
            tool: args.tool.clone(),
            buffer: Vec::with_capacity(16 << 10),
            next: 0,
        };
        let initialize = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
            \"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}";
        let session = client.exchange(initialize).await?.session;
        let session = session.ok_or("initialize made no session")?;
        client.head +=
            &format!("mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
        let initialized = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
        client.exchange(initialized).await?;
        let list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
        client.exchange(list).await?;
        Ok(client)
    }

    async fn calls(&mut self, count: u32) -> Result<Vec<Duration>, Failure> {
        let mut took = Vec::with_capacity(count as usize);
        for _ in 0..count {
            self.next += 1;
            let id = self.next;
            let text = format!("{id:064}");
            let call = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":\
                 {{\"name\":\"{}\",\"arguments\":{{\"message\":\"{text}\"}}}}}}",
                self.tool
            );
            let started = Instant::now();
            let answer = self.exchange(&call).await?;
            took.push(started.elapsed());
            let expected = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}"
            );
            if answer.body != expected.as_bytes() {
                let body = String::from_utf8_lossy(&answer.body);
                return Err(format!("a wrong answer: {body}").into());
            }
        }
        Ok(took)
    }

    async fn exchange(&mut self, body: &str) -> Result<Answer, Failure> {
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended".into());
            }
            if let Some(answer) = Answer::read(&self.buffer)? {
                return Ok(answer);
            }
        }
    }
}

struct Answer {
    session: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// Parses the response once it is complete.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end])?;
        let mut lines = head.split("\r\n");
        if !lines
            .next()
            .is_some_and(|status| status[9..].starts_with('2'))
        {
            return Err(format!("refused: {}", String::from_utf8_lossy(bytes)).into());
        }
        let (mut session, mut length) = (None, 0);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                session = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err("an answer without a length".into());
            }
        }
        let body = &bytes[end + 4..];
        Ok((body.len() >= length).then(|| Self {
            session,
            body: body[..length].to_vec(),
        }))
    }
}
