//! The gateway inside an axum application: under a prefix, beside a route of its own, on the application's runtime and
//! listener, with the application's own way to tell who calls.
//!
//! `cargo run -p mcp-orchestrator-examples --bin embed_axum`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use http::{Request, header, request};
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, Principal};
use mcp_orchestrator_core::id::PrincipalId;
use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
use mcp_orchestrator_core::runtime::ProcessBackend;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use mcp_orchestrator_examples::client::Client;
use mcp_orchestrator_examples::{Failure, hello};
use mcp_orchestrator_gateway::{Options, router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The application's API keys, each a person's.
struct ApiKeys(HashMap<&'static str, Arc<Principal>>);

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ApiKeys").field(&self.0.len()).finish()
    }
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, parts: &request::Parts) -> Result<Option<Authenticated>> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            // Nothing of ours: another authenticator may know the caller.
            return Ok(None);
        };
        let key = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
        let principal = key.and_then(|key| self.0.get(key)).ok_or_else(|| {
            // Ours, and wrong: nobody else is asked.
            Error::new(ErrorKind::Unauthenticated, "this API key is not known")
        })?;
        Ok(Some(Authenticated::new(Arc::clone(principal))))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    // The orchestrator: child processes, one gateway that shows one server.
    let state = tempfile::tempdir()?;
    let server = hello::server("hello")?;
    let backend = Arc::new(ProcessBackend::new(state.path()));
    let table = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
    let orchestrator = Orchestrator::builder(backend, table).build();
    orchestrator.apply([Arc::new(server)]);

    // The application: a route of its own, and the endpoint below `/ai`.
    let ann = Arc::new(Principal::user(PrincipalId::new("ann")?, "api-key"));
    let keys: Arc<dyn Authenticator> = Arc::new(ApiKeys(HashMap::from([("ann-key", ann)])));
    // Behind a public name, `Options::allowed_hosts` must hold it.
    let endpoint = router(orchestrator.clone(), [keys], Options::default())?;
    let app = Router::new()
        .route("/", get(|| async { "the application's own page" }))
        .nest("/ai", endpoint);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let draining = orchestrator.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = stopped.await;
        // Streams that answer no call would keep the application from ending.
        draining.drain();
    });
    let mut host = JoinSet::new();
    host.spawn(serving.into_future());
    println!("http://{address}/        the application's own");
    println!("http://{address}/ai/mcp  the gateway");

    let client = Client::new(address, "/ai/mcp");
    let page = Request::get("/").header(header::HOST, address.to_string());
    let (status, text) = client.send(page.body("".into())?).await?;
    println!("GET /  -> {status} {}", String::from_utf8_lossy(&text));
    let stranger = client.call("greet", json!({})).await;
    let refused = stranger.err().ok_or("a stranger came in")?;
    println!("without a key  -> {refused}");
    let client = client.with_token("ann-key");
    let answer = client.call("greet", json!({ "name": "Ann" })).await?;
    println!("with ann's key  -> {answer}");

    drop(stop);
    host.join_all()
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;
    orchestrator.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
