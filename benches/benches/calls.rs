//! Whole calls: through the orchestrator alone (an in-memory server, a child process), and through the gateway over
//! loopback. Calls run one at a time, so these are latencies; `benches/compare` measures the cost of a call under load.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to fail")]

use std::future::pending;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use mcp_orchestrator_benches::caller::{CALL, Caller, INITIALIZE, orchestrator};
use mcp_orchestrator_benches::echo;
use mcp_orchestrator_core::auth::{Authenticator, LocalAuthenticator};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::runtime::{
    BoxedIo, Exit, MemoryBackend, ProcessBackend, RemoteBackend, RuntimeBackend,
};
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_gateway::{Options, Shutdown, router, serve};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const ECHO: &str = env!("CARGO_BIN_EXE_echo_upstream");

fn main() {
    divan::main();
}

fn id() -> ServerId {
    ServerId::new("up").unwrap()
}

fn calls(
    bencher: Bencher<'_, '_>,
    backend: impl FnOnce() -> (Arc<dyn RuntimeBackend>, ServerSpec),
) {
    let runtime = Runtime::new().unwrap();
    let caller = runtime.block_on(async {
        let (backend, server) = backend();
        let caller = Caller::open(&orchestrator(backend, server)).await.unwrap();
        caller.call().await.unwrap();
        caller
    });
    bencher.bench_local(|| runtime.block_on(caller.call()).unwrap());
}

async fn lines(pipe: BoxedIo) -> Exit {
    let (reader, mut writer) = tokio::io::split(pipe);
    let mut lines = tokio::io::BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(mut answer) = echo::answer(line.as_bytes()) {
            answer.push(b'\n');
            if writer.write_all(&answer).await.is_err() {
                return Exit::status(1);
            }
        }
    }
    Exit::status(0)
}

#[divan::bench]
fn stdio_in_memory(bencher: Bencher<'_, '_>) {
    calls(bencher, || {
        let backend = MemoryBackend::new(|_, _, pipe| lines(pipe));
        (
            Arc::new(backend),
            ServerSpec::command(id(), ECHO, ["--stdio"]),
        )
    });
}

#[divan::bench]
fn stdio_of_a_child(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().unwrap();
    calls(bencher, || {
        let backend = ProcessBackend::new(directory.path());
        (
            Arc::new(backend),
            ServerSpec::command(id(), ECHO, ["--stdio"]),
        )
    });
}

/// An HTTP upstream, killed on drop.
struct Upstream(Child, SocketAddr);

impl Upstream {
    fn start() -> Self {
        let mut child = Command::new(ECHO).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().rsplit("//").next().unwrap();
        let address = address.trim_end_matches("/mcp").parse().unwrap();
        Self(child, address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[divan::bench]
fn gateway_over_loopback(bencher: Bencher<'_, '_>) {
    let upstream = Upstream::start();
    let runtime = Runtime::new().unwrap();
    let (address, serving) = runtime.block_on(async {
        let url = format!("http://{}/mcp", upstream.1).parse().unwrap();
        let server = ServerSpec::remote(id(), url);
        let orchestrator = orchestrator(Arc::new(RemoteBackend::default()), server);
        let local: Arc<dyn Authenticator> = Arc::new(LocalAuthenticator::for_system_user());
        let router = router(orchestrator, [local], Options::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown {
            when: pending(),
            grace: Duration::ZERO,
        };
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(serve(listener, router, shutdown));
        (address, serving)
    });
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    let head = post(&mut client, "", INITIALIZE);
    let session = head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .unwrap();
    let session = format!("mcp-session-id: {session}\r\n");
    post(&mut client, &session, CALL);
    bencher.bench_local(|| post(&mut client, &session, CALL).len());
    drop(serving);
}

/// Sends a message and reads the response; each fits into one packet.
fn post(client: &mut TcpStream, headers: &str, body: &str) -> String {
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}}") {
        let mut part = [0; 4096];
        let got = client.read(&mut part).unwrap();
        assert!(got > 0, "the gateway closed");
        answer.extend_from_slice(&part[..got]);
    }
    String::from_utf8(answer).unwrap()
}
