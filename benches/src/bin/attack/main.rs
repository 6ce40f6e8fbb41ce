//! Attacks a gateway in every way at once while 20 honest principals call through it, and prints the effect on them.
//!
//! The gateway has an honest HTTP server, an honest child process and a hostile HTTP server behind one endpoint. Honest
//! principals call at a fixed rate, first alone (`quiet`), then under attack. The program prints how many of their
//! calls failed, their latency percentiles, and the gateway's resident memory. Everything is on loopback; attackers use
//! their own addresses in 127.0.0.0/8, and run as a process of the lowest priority.

mod attackers;
mod gateway;
mod honest;
mod hostile_process;
mod hostile_server;
mod http;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tokio::task::JoinSet;

use self::gateway::Gateway;
use self::honest::Outcome;
use self::hostile_process::Hostile;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures how an attack affects honest callers
#[derive(Clone, Parser)]
struct Args {
    /// The gateway program
    #[arg(long, required_unless_present = "hostile")]
    gateway: Option<PathBuf>,
    /// Run only the hostile side, which standard input controls
    #[arg(long, hide = true)]
    hostile: bool,
    /// Seconds per phase
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Honest principals
    #[arg(long, default_value_t = 20)]
    principals: usize,
    /// Calls per second of each honest principal
    #[arg(long, default_value_t = 10)]
    rate: u64,
    /// Connections that send nothing
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the numbers are the output")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let Some(program) = args.gateway else {
        return hostile_process::run(args.idle).await;
    };
    let mut tasks = JoinSet::new();
    let honest_server = honest::serve(&mut tasks).await?;
    let mut hostile = Hostile::start(args.idle).await?;
    let gateway = Gateway::start(&program, honest_server, hostile.server).await?;
    let phase = Duration::from_secs(args.seconds);

    let mut callers = honest::Callers::open(&gateway, args.principals, args.rate).await?;
    let quiet = callers.run(phase).await;
    println!(
        "{:<14} {quiet}  RSS {} MiB",
        "quiet",
        gateway.resident_mib()?
    );

    let mallory = gateway.token("mallory").await?;
    hostile.attack(gateway.address, &mallory).await?;
    let attacked = callers.run(phase).await;
    println!(
        "{:<14} {attacked}  RSS {} MiB",
        "under attack",
        gateway.resident_mib()?
    );
    println!("{}", hostile.stop().await?);

    let after = callers.run(phase / 3).await;
    println!(
        "{:<14} {after}  RSS {} MiB",
        "afterwards",
        gateway.resident_mib()?
    );
    summary(&quiet, &attacked);
    gateway.stop().await
}

#[expect(clippy::print_stdout, reason = "the numbers are the output")]
fn summary(quiet: &Outcome, attacked: &Outcome) {
    let ratio = attacked.percentile(99).as_secs_f64() / quiet.percentile(99).as_secs_f64();
    println!(
        "{} honest calls failed under attack; p99 is {ratio:.1} times that of the quiet phase",
        attacked.failed()
    );
}
