//! The scripted server on standard input and output, or over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use mcp_orchestrator_tests::scripted::{Say, Script, Server, Upstream, dressed};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A scripted MCP server
#[derive(Parser)]
struct Cli {
    /// legacy, modern or both
    #[arg(long, default_value = "legacy")]
    era: String,
    /// The number of plain tools, in addition to the ones with special behaviour
    #[arg(long, default_value_t = 1)]
    tools: usize,
    /// The number of items per page
    #[arg(long)]
    page: Option<usize>,
    /// The call at which it crashes
    #[arg(long)]
    crash_at: Option<u64>,
    /// Appends a line to this file at each start
    #[arg(long)]
    starts: Option<PathBuf>,
    /// Starts to read when this file exists
    #[arg(long)]
    wait_for: Option<PathBuf>,
    /// Reads, but never answers
    #[arg(long)]
    mute: bool,
    /// Writes this to standard error and exits with code 7
    #[arg(long)]
    fail: Option<String>,
    /// Ignores the end of its input and SIGTERM
    #[arg(long)]
    stubborn: bool,
    /// Starts a child process
    #[arg(long)]
    grandchild: bool,
    /// Closes its output after the first echo, and keeps running
    #[arg(long)]
    shut_up: bool,
    /// Listens on this port instead of standard input
    #[arg(long)]
    http: Option<u16>,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// Writes ids back as `text` or with a `point`
    #[arg(long, default_value = "")]
    ids: String,
    /// `METHOD=MEMBERS` of a result to answer with
    #[arg(long)]
    answer: Vec<String>,
    /// The capabilities to declare, as JSON
    #[arg(long)]
    capabilities: Option<String>,
    /// Starts each line with a byte order mark
    #[arg(long)]
    bom: bool,
    /// Has a tool `job` that runs only as a task
    #[arg(long)]
    tasks: bool,
    /// Ignored; makes the spec a different one
    #[arg(long)]
    _mark: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "what a program says before it fails")]
async fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    if let Some(starts) = &cli.starts {
        use std::io::Write as _;
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(starts);
        let _ = writeln!(file.expect("a file for starts"), "{}", std::process::id());
    }
    if let Some(words) = &cli.fail {
        eprintln!("{words}");
        return 7.into();
    }
    let _grandchild = cli
        .grandchild
        .then(|| std::process::Command::new("sleep").arg("1000").spawn());
    let mut beside = JoinSet::new();
    if cli.stubborn {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate()).expect("a signal handler");
        beside.spawn(async move { while term.recv().await.is_some() {} });
    }
    while let Some(file) = &cli.wait_for
        && !file.exists()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serve(&cli, &mut beside).await;
    if cli.stubborn {
        std::future::pending::<()>().await;
    }
    0.into()
}

async fn serve(cli: &Cli, beside: &mut JoinSet<()>) {
    let script = Script {
        legacy: cli.era != "modern",
        modern: cli.era != "legacy",
        tools: cli.tools,
        page: cli.page,
        crash_at: cli.crash_at,
        tasks: cli.tasks,
        capabilities: cli.capabilities.clone(),
        ..Script::default()
    };
    let answers = cli.answer.iter().filter_map(|one| one.split_once('='));
    let script = answers.fold(script, |script, (method, members)| {
        script.answering(method, members)
    });
    if let Some(port) = cli.http {
        let address = std::net::SocketAddr::from((cli.host, port)).to_string();
        let _upstream = Upstream::start_at(&address, script).await;
        return std::future::pending().await;
    }
    let server = Server::new(script);
    let (out, mut said) = mpsc::unbounded_channel::<Say>();
    let (shut_up, ids, bom) = (cli.shut_up, cli.ids.clone(), cli.bom);
    beside.spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(say) = said.recv().await {
            let bytes = match say {
                Say::Message(bytes) => [&dressed(&bytes, &ids, bom)[..], b"\n"].concat(),
                Say::Raw(bytes) => bytes.to_vec(),
                Say::Cut(_) => continue,
            };
            if stdout.write_all(&bytes).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
            if shut_up && memchr::memmem::find(&bytes, b"x-first").is_some() {
                let _ = rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null").expect("null"));
            }
        }
    });
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        if cli.mute {
            continue;
        }
        let (server, out) = (server.clone(), out.clone());
        beside.spawn(async move { server.take(line.into(), Vec::new(), out.clone(), out).await });
    }
}
