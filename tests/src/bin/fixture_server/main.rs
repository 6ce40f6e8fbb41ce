//! The fixture: an MCP server with every tool, prompt, resource and task that the conformance scenarios use, in both
//! eras, over stdio or streamable HTTP. Suites run it behind the gateway, and directly as the baseline for the
//! gateway's results.
#![expect(
    deprecated,
    reason = "rmcp marks sampling, roots and logging so, and a fixture must have them"
)]

mod ask;
mod changes;
mod content;
mod eras;
mod handler;
mod mrtr;
mod prompts;
mod recall;
mod reconnection;
mod report;
mod resources;
mod serve;
mod tasks;
mod tools;

use std::{error::Error, net::SocketAddr};

use clap::{Args, Parser};

use crate::handler::{Era, Fixture};

/// An MCP server with everything that the conformance scenarios call.
#[derive(Debug, Parser)]
#[command(name = "fixture-server")]
struct Options {
    #[command(flatten)]
    transport: Transport,
    /// The protocol eras that it serves.
    #[arg(long, value_enum, default_value_t = Era::Both)]
    era: Era,
    /// Cuts every list into pages of this many items.
    #[arg(long, value_name = "ITEMS")]
    page_size: Option<usize>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Transport {
    /// Speaks over standard input and output.
    #[arg(long)]
    stdio: bool,
    /// Listens for streamable HTTP; port 0 takes a free one, which is printed.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let fixture = Fixture::new(options.era, options.page_size);
    match options.transport.http {
        Some(address) => serve::http(&fixture, address).await,
        None => serve::stdio(fixture).await,
    }
}
