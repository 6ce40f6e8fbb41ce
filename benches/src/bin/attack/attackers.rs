//! The attackers: each kind runs at a bounded rate until its task is cancelled.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http::Connection;

/// How long an attacker waits for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the attackers achieved.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Counts>);

#[derive(Default)]
struct Counts {
    idle: AtomicUsize,
    idle_closed: AtomicUsize,
    requests: AtomicUsize,
    refused: AtomicUsize,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{:<14} {} idle connections ({} of them closed by the gateway), {} requests ({} refused or cut)",
            "attackers",
            read(&self.0.idle),
            read(&self.0.idle_closed),
            read(&self.0.requests),
            read(&self.0.refused),
        )
    }
}

/// Starts all attacks.
pub(crate) fn start(
    tasks: &mut JoinSet<()>,
    (to, token): (SocketAddr, &str),
    idle: usize,
    counters: &Counters,
) {
    hold_connections(tasks, to, idle, counters);
    for (number, opening) in [
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nx: ",
        "POST /signin HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: 1900000\r\n\r\ntoken=",
    ]
    .into_iter()
    .enumerate()
    {
        for slow in 0..50 {
            let source = Ipv4Addr::new(127, 1, u8::try_from(number).unwrap_or(0), slow + 1);
            tasks.spawn(drip(to, source, opening, counters.clone()));
        }
    }
    for (number, (name, request)) in requests(to, token).into_iter().enumerate() {
        for copy in 1..=2 {
            let source = Ipv4Addr::new(127, 2, u8::try_from(number).unwrap_or(0), copy);
            tasks.spawn(repeat(to, source, name, request.clone(), counters.clone()));
        }
    }
}

fn hold_connections(tasks: &mut JoinSet<()>, to: SocketAddr, idle: usize, counters: &Counters) {
    for number in 0..idle {
        let (high, low) = (number / 250 % 250, number % 250);
        let byte = |value: usize| u8::try_from(value).unwrap_or(0);
        // About 40 addresses with 250 connections each.
        let source = Ipv4Addr::new(127, 3, byte(high), 1 + byte(low / 250));
        let counters = counters.clone();
        tasks.spawn(async move {
            sleep(Duration::from_micros(200) * u32::try_from(number).unwrap_or(0)).await;
            if let Ok(mut connection) = Connection::from(source, to).await {
                counters.0.idle.fetch_add(1, Ordering::Relaxed);
                connection.closed().await;
                counters.0.idle_closed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// Opens a request and continues it byte by byte.
async fn drip(to: SocketAddr, source: Ipv4Addr, opening: &'static str, counters: Counters) {
    loop {
        if let Ok(mut connection) = Connection::from(source, to).await {
            counters.0.requests.fetch_add(1, Ordering::Relaxed);
            let mut sent = connection.write(opening.as_bytes()).await;
            while sent.is_ok() {
                sleep(Duration::from_millis(500)).await;
                sent = connection.write(b"a").await;
            }
            counters.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Sends a request repeatedly, each time on a new connection.
async fn repeat(
    to: SocketAddr,
    source: Ipv4Addr,
    name: &'static str,
    (head, body): (String, String),
    counters: Counters,
) {
    let mut number = 0_u64;
    loop {
        number += 1;
        let attempt = async {
            let mut connection = Connection::from(source, to).await?;
            let body = body.replace("NUMBER", &number.to_string());
            connection.exchange(&head, &body).await
        };
        counters.0.requests.fetch_add(1, Ordering::Relaxed);
        let served = matches!(timeout(RESPONSE_TIMEOUT, attempt).await, Ok(Ok(answer)) if answer.status < 400);
        if !served {
            counters.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        // Large requests cost the attacker as much as the gateway; the pause keeps both from saturating the cores.
        let pause = if name == "session" { 5 } else { 50 };
        sleep(Duration::from_millis(pause)).await;
    }
}

/// A request that is repeated: its name, head and body.
type Repeated = (&'static str, (String, String));

fn requests(to: SocketAddr, token: &str) -> Vec<Repeated> {
    let mut requests = known_requests(to, token);
    requests.extend(unknown_requests(to));
    requests
}

const JSON: &str =
    "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";

fn head(to: SocketAddr, path: &str, more: &str) -> String {
    format!("{path} HTTP/1.1\r\nhost: {to}\r\n{more}")
}

/// Requests of a caller with a token.
fn known_requests(to: SocketAddr, token: &str) -> Vec<Repeated> {
    const META: &str = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\
        \"io.modelcontextprotocol/clientInfo\":{\"name\":\"m\",\"version\":\"1\"},\
        \"io.modelcontextprotocol/clientCapabilities\":{}}";
    let known = format!("{JSON}authorization: Bearer {token}\r\n");
    let modern = |method: &str, name: &str, params: &str| {
        let more = format!(
            "{known}mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\nmcp-name: {name}\r\n"
        );
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":NUMBER,\"method\":\"{method}\",\"params\":{{{params},{META}}}}}"
        );
        (head(to, "POST /mcp", &more), body)
    };
    let read = |uri: &str| modern("resources/read", uri, &format!("\"uri\":\"{uri}\""));
    let initialize = |info: &str| {
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":NUMBER,\"method\":\"initialize\",\"params\":{{\"protocolVersion\":\
             \"2025-11-25\",\"capabilities\":{{}},\"clientInfo\":{{\"name\":\"{info}\",\"version\":\"1\"}}}}}}"
        );
        (head(to, "POST /mcp", &known), body)
    };
    vec![
        (
            "uri",
            read(&format!("repo://{}/contents", "a".repeat(20_000))),
        ),
        ("template", read(&"x".repeat(4_000))),
        ("session", initialize("m")),
        ("information", initialize(&"m".repeat(2 << 20))),
        (
            "flood",
            modern(
                "tools/call",
                "hostile__flood",
                "\"name\":\"hostile__flood\",\"arguments\":{}",
            ),
        ),
    ]
}

/// Requests that need no valid token.
fn unknown_requests(to: SocketAddr) -> Vec<Repeated> {
    let forged = format!("{JSON}authorization: Bearer mcpo_forged\r\n");
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let filled = format!("token={}", "a".repeat(1 << 20));
    vec![
        (
            "token",
            (head(to, "POST /mcp", &forged), "x".repeat(1 << 20)),
        ),
        ("form", (head(to, "POST /signin", form), filled)),
        ("page", (head(to, "GET /signin", ""), String::new())),
    ]
}
