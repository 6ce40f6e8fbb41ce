//! Starts a gateway on a free local port with one MCP server, and calls a tool through it.
//!
//! `cargo run -p mcp-orchestrator-examples`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::auth::{Authenticator, LocalAuthenticator};
use mcp_orchestrator_core::config::{LoadOptions, load};
use mcp_orchestrator_examples::client::Client;
use mcp_orchestrator_examples::{Failure, hello};
use mcp_orchestrator_gateway::{Options, Shutdown, router, serve};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    // 1. A configuration file, as a user would write it.
    let file = write_config()?;
    let text = std::fs::read_to_string(&file)?;
    println!("The configuration, {}:\n\n{text}", file.display());
    let state = tempfile::tempdir()?;
    let options = LoadOptions {
        state_dir: Some(state.path().to_owned()),
        ..LoadOptions::from_process()
    };
    let settings = load(std::slice::from_ref(&file), &options)?.settings;

    // 2. The orchestrator runs the servers; the gateway exposes them at one address.
    let built = settings.build(true).await?;
    let local: Arc<dyn Authenticator> = Arc::new(LocalAuthenticator::for_system_user());
    let endpoint = router(built.orchestrator().clone(), [local], Options::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let when = async {
        let _ = stopped.await;
    };
    let mut server = JoinSet::new();
    server.spawn(serve(listener, endpoint, Shutdown { when, grace: GRACE }));
    println!("The gateway listens on http://{address}/mcp");

    // 3. A client that knows only that address.
    let client = Client::new(address, "/mcp");
    println!("tools/list  -> {}", client.tools().await?.join(", "));
    let answer = client.call("greet", json!({ "name": "world" })).await?;
    println!("tools/call greet {{\"name\": \"world\"}}  -> {answer}");
    println!(
        "tools/call whoami {{}}  -> {}",
        client.call("whoami", json!({})).await?
    );

    // 4. Shut down: calls in flight finish, and the server's process ends with the orchestrator.
    drop(stop);
    server.join_all().await;
    built.orchestrator().shutdown(GRACE).await;
    println!("\nIt works. To keep a gateway running with this configuration:\n");
    println!("    {}\n", keep_running(&file));
    println!("and give your MCP client the address http://127.0.0.1:8080/mcp");
    Ok(())
}

/// Writes the file beside this program, so that it can be reused.
fn write_config() -> Result<PathBuf, Failure> {
    let program = hello::program()?;
    let command = json!([program, hello::ARGUMENT]);
    let file = program.with_file_name("quickstart.yaml");
    let text = format!("servers:\n  hello:\n    command: {command}\n");
    std::fs::write(&file, text)?;
    Ok(file)
}

fn keep_running(file: &Path) -> String {
    let file = std::env::current_dir()
        .ok()
        .and_then(|here| file.strip_prefix(here).ok())
        .unwrap_or(file);
    format!(
        "cargo run -p mcp-orchestrator-cli -- up --config {}",
        file.display()
    )
}
