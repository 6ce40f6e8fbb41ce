//! The memory of an idle legacy session and of an instance (its supervision in this process, without the child's own
//! memory), measured as growth of this process's resident memory.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use mcp_orchestrator_benches::caller::{Caller, orchestrator};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::runtime::ProcessBackend;
use mcp_orchestrator_core::server::{Isolation, ServerSpec};

/// Prints the memory of idle sessions and of instances
#[derive(Parser)]
struct Args {
    /// Idle sessions that are opened
    #[arg(long, default_value_t = 20_000)]
    sessions: usize,
    /// Children that are started
    #[arg(long, default_value_t = 100)]
    instances: usize,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the numbers are the output")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let directory = tempfile::tempdir()?;
    let backend = Arc::new(ProcessBackend::new(directory.path()));
    let echo: PathBuf = std::env::current_exe()?.with_file_name("echo_upstream");
    let mut server = ServerSpec::command(
        ServerId::new("up")?,
        echo.to_str().ok_or("the path is not UTF-8")?,
        ["--stdio"],
    );
    server.isolation = Isolation::Session;
    let orchestrator = orchestrator(backend, server);
    let mut callers = Vec::new();
    for _ in 0..args.instances {
        callers.push(Caller::open(&orchestrator).await?);
    }
    let before = resident()?;
    for _ in 0..args.sessions {
        callers.push(Caller::open(&orchestrator).await?);
    }
    let grown = resident()?.saturating_sub(before);
    println!("idle session: {} bytes", grown / args.sessions.max(1));
    // The first instance allocates what all instances share.
    callers[0].call().await?;
    let before = resident()?;
    for caller in &callers[1..args.instances] {
        caller.call().await?;
    }
    let grown = resident()?.saturating_sub(before);
    println!("instance: {} bytes", grown / (args.instances - 1).max(1));
    drop(callers);
    orchestrator
        .shutdown(std::time::Duration::from_secs(5))
        .await;
    Ok(())
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("no VmRSS")?.parse::<usize>()? * 1024)
}
