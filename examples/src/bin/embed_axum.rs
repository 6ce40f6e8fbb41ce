//! The gateway inside an axum application: under a prefix, next to the application's own route, on its runtime and
//! listener, and with its own authentication.
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

/// The application's API keys, each belonging to a person.
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
            // No API key: another authenticator may know the caller.
            return Ok(None);
        };
        let key = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
        let principal = key.and_then(|key| self.0.get(key)).ok_or_else(|| {
            // An invalid API key is an error, so no other authenticator is tried.
            Error::new(ErrorKind::Unauthenticated, "this API key is not known")
        })?;
        Ok(Some(Authenticated::new(Arc::clone(principal))))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    // The orchestrator: child processes, and one gateway that shows one server.
    let state = tempfile::tempdir()?;
    let server = hello::server("hello")?;
    let backend = Arc::new(ProcessBackend::new(state.path()));
    let table = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
    let orchestrator = Orchestrator::builder(backend, table).build();
    orchestrator.apply([Arc::new(server)]);

    // The application: its own route, and the endpoint below `/ai`.
    let ann = Arc::new(Principal::user(PrincipalId::new("ann")?, "api-key"));
    let keys: Arc<dyn Authenticator> = Arc::new(ApiKeys(HashMap::from([("ann-key", ann)])));
    // With a public host name, add it to `Options::allowed_hosts`.
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
        // Open streams that belong to no call would keep the application from exiting.
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

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::testing::auth::suite;

    use super::*;

    #[tokio::test]
    async fn api_keys_keep_the_authenticator_contract() -> Result<(), Failure> {
        let ann = Arc::new(Principal::user(PrincipalId::new("ann")?, "api-key"));
        let keys = ApiKeys(HashMap::from([("ann-key", ann)]));
        let known = Request::get("/mcp").header(header::AUTHORIZATION, "Bearer ann-key");
        let (known, ()) = known.body(())?.into_parts();
        let (foreign, ()) = Request::get("/mcp").body(())?.into_parts();
        suite(&keys, &known, &foreign).await;
        Ok(())
    }
}
