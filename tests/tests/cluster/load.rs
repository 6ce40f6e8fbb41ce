//! Clients that call continuously, check each answer, and record the results.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_tests::client::{Client, LEGACY, MODERN, call_params, json, modern_body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A call that takes longer counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(100);
/// Consecutive successful calls after which a client counts as served again.
const RECOVERED_AFTER_CALLS: usize = 3;
/// Clients per era.
const CLIENTS_PER_ERA: usize = 2;

/// The record of one call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    client: usize,
    pub(crate) server: String,
    began: Instant,
    ended: Instant,
    /// The error, if the call failed.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    news: Notify,
}

/// The running clients.
pub(crate) struct Load {
    servers: Vec<String>,
    log: Arc<Log>,
    address: watch::Sender<SocketAddr>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

/// The era of a client.
#[derive(Clone, Debug)]
enum Dialect {
    Modern,
    /// With this session, if one is open.
    Legacy(Option<String>),
}

impl Load {
    /// Starts calling these servers, and waits until all clients are served.
    pub(crate) async fn on(address: SocketAddr, servers: &[&str]) -> Self {
        Self::with_token(address, servers, None).await
    }

    /// Like [`on`](Self::on), for a gateway that requires this token.
    pub(crate) async fn with_token(
        address: SocketAddr,
        servers: &[&str],
        token: Option<&str>,
    ) -> Self {
        let servers: Vec<String> = servers.iter().map(|name| (*name).to_owned()).collect();
        let mut load = Self {
            servers,
            log: Arc::default(),
            address: watch::Sender::new(address),
            stop: CancellationToken::new(),
            clients: JoinSet::new(),
        };
        for client in 0..2 * CLIENTS_PER_ERA {
            let dialect = match client % 2 {
                0 => Dialect::Modern,
                _ => Dialect::Legacy(None),
            };
            let caller = Caller {
                client,
                dialect,
                address: load.address.subscribe(),
                token: token.map(str::to_owned),
                servers: load.servers.clone(),
                log: Arc::clone(&load.log),
            };
            load.clients.spawn(caller.run(load.stop.clone()));
        }
        load.good_since(Instant::now()).await;
        load
    }

    /// Points the clients to another address of the gateway.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        self.address.send_replace(address);
    }

    /// Waits until each client is served by each server, several times in a row, since this time.
    pub(crate) async fn good_since(&self, since: Instant) {
        let good = async {
            loop {
                let news = self.log.news.notified();
                if self.is_good(since) {
                    return;
                }
                news.await;
            }
        };
        if timeout(2 * HUNG_AFTER, good).await.is_err() {
            let seen = self.log.seen.lock();
            let last: Vec<_> = seen.iter().rev().take(12).collect();
            panic!("calls do not become good again: {last:#?}");
        }
    }

    fn is_good(&self, since: Instant) -> bool {
        let seen = self.log.seen.lock();
        (0..2 * CLIENTS_PER_ERA).all(|client| {
            self.servers.iter().all(|server| {
                let own = seen.iter().rev();
                let mut own = own.filter(|it| it.client == client && it.server == *server);
                let good = |it: &Seen| it.error.is_none() && it.began >= since;
                own.by_ref()
                    .take(RECOVERED_AFTER_CALLS)
                    .filter(|it| good(it))
                    .count()
                    == RECOVERED_AFTER_CALLS
            })
        })
    }

    /// Returns the calls that ended since this time.
    pub(crate) fn seen(&self, since: Instant) -> Report {
        let seen = self.log.seen.lock();
        let since_then = seen.iter().filter(|it| it.ended >= since);
        Report {
            since,
            seen: since_then.cloned().collect(),
        }
    }

    /// Stops the clients and checks that none hangs.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = timeout(HUNG_AFTER, self.clients.join_next()).await.unwrap() {
            ended.unwrap();
        }
    }
}

/// The calls during a fault.
#[derive(Debug)]
pub(crate) struct Report {
    since: Instant,
    seen: Vec<Seen>,
}

impl Report {
    /// Returns the failed calls.
    pub(crate) fn bad(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|it| it.error.is_some())
    }

    /// Checks that every error contains one of these reasons and names the server that was called.
    pub(crate) fn allow(&self, reasons: &[&str]) -> &Self {
        for seen in self.bad() {
            let error = seen.error.as_deref().unwrap();
            let known = reasons.iter().any(|reason| error.contains(reason));
            let named = error.contains(&seen.server) || error.starts_with("http: ");
            assert!(known && named, "{seen:?}");
        }
        self
    }

    /// Returns the time to the first successful call after the last failed one or, if none failed, the longest call.
    fn until_good(&self) -> Duration {
        let mut longest = Duration::ZERO;
        let servers: BTreeMap<_, ()> = self.seen.iter().map(|it| (&it.server, ())).collect();
        for server in servers.keys() {
            let own = || self.seen.iter().filter(|it| it.server == **server);
            let last_bad = own()
                .filter(|it| it.error.is_some())
                .map(|it| it.ended)
                .max();
            let good = own().filter(|it| it.error.is_none());
            let until = match last_bad {
                Some(bad) => good
                    .filter(|it| it.ended > bad)
                    .map(|it| it.ended - self.since)
                    .min(),
                None => good.map(|it| it.ended - it.began).max(),
            };
            longest = longest.max(until.unwrap_or_default());
        }
        longest
    }

    /// Prints a row of the table.
    pub(crate) fn row(&self, fault: &str) {
        let mut said = BTreeMap::<String, usize>::new();
        for seen in self.bad() {
            let text = anonymous(seen.error.as_deref().unwrap());
            *said.entry(text).or_default() += 1;
        }
        let all = self.seen.len();
        let said: Vec<_> = said
            .into_iter()
            .map(|(text, times)| format!("{times} of {all}: {text}"))
            .collect();
        let said = match said.is_empty() {
            true => format!("nothing ({all} calls; the longest counts)"),
            false => said.join("<br>"),
        };
        let row = format!("| {fault} | {said} | {} |\n", self.until_good().as_millis());
        eprint!("{row}");
        if let Some(file) = std::env::var_os("MCP_ORCHESTRATOR_TEST_TABLE") {
            use std::io::Write as _;
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(file);
            file.unwrap().write_all(row.as_bytes()).unwrap();
        }
    }
}

/// Removes parts that differ each time, and the cluster's details about the end of a connection.
fn anonymous(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line
        .split(": error forwarding port")
        .next()
        .unwrap_or_default();
    let words = line.split(' ').map(|word| {
        let hash = word.trim_start_matches('"').starts_with("mcp-") && word.len() > 20;
        if hash { "mcp-…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// One client.
struct Caller {
    client: usize,
    dialect: Dialect,
    address: watch::Receiver<SocketAddr>,
    token: Option<String>,
    servers: Vec<String>,
    log: Arc<Log>,
}

impl Caller {
    async fn run(mut self, stop: CancellationToken) {
        for n in 0_u64.. {
            for server in self.servers.clone() {
                if stop.is_cancelled() {
                    return;
                }
                let began = Instant::now();
                let called = timeout(HUNG_AFTER, self.call(&server, n)).await;
                let error = match called {
                    Ok(called) => called.err(),
                    Err(_) => Some(format!(
                        "hung: {server} did not answer within {HUNG_AFTER:?}"
                    )),
                };
                let seen = Seen {
                    client: self.client,
                    server,
                    began,
                    ended: Instant::now(),
                    error,
                };
                self.log.seen.lock().push(seen);
                self.log.news.notify_waiters();
                // The pace of the load.
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn call(&mut self, server: &str, n: u64) -> Result<(), String> {
        let mut client = Client::new(*self.address.borrow_and_update(), "local");
        if let Some(token) = &self.token {
            client = client.bearer(token);
        }
        let mark = json!({ "mark": format!("{}-{n}-{server}", self.client) });
        let name = format!("{server}__echo");
        let params = call_params(&name, &mark.to_string());
        let answer = match self.dialect.clone() {
            Dialect::Modern => {
                let body = modern_body("1", "tools/call", &params, "");
                let headers = [
                    ("mcp-protocol-version", MODERN),
                    ("mcp-method", "tools/call"),
                    ("mcp-name", &name),
                ];
                ask(&client, &headers, &body).await?.1
            }
            Dialect::Legacy(session) => {
                let session = match session {
                    Some(session) => session,
                    None => self.begin(&client).await?,
                };
                let headers = [
                    ("mcp-session-id", &session[..]),
                    ("mcp-protocol-version", LEGACY),
                ];
                let id = n + 1;
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":"{id}-{server}","method":"tools/call","params":{params}}}"#
                );
                let (status, answer) = ask(&client, &headers, &body).await?;
                if status == 404 {
                    self.dialect = Dialect::Legacy(None);
                    return Err("http: the session is gone".to_owned());
                }
                answer
            }
        };
        judge(server, &mark, &answer)
    }

    async fn begin(&mut self, client: &Client) -> Result<String, String> {
        let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": LEGACY, "capabilities": {},
            "clientInfo": { "name": "load", "version": "1" },
        } });
        let hello = hello.to_string();
        let sent = client.try_send("POST", &[], hello.as_bytes()).await;
        let response = sent.map_err(|error| format!("http: {error}"))?;
        let session = response.header("mcp-session-id").map(str::to_owned);
        let session = session.ok_or_else(|| format!("http: no session: {}", response.status))?;
        let headers = [
            ("mcp-session-id", &session[..]),
            ("mcp-protocol-version", LEGACY),
        ];
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        ask(client, &headers, ready).await?;
        self.dialect = Dialect::Legacy(Some(session.clone()));
        Ok(session)
    }
}

async fn ask(
    client: &Client,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, Value), String> {
    let sent = client.try_send("POST", headers, body.as_bytes()).await;
    let mut response = sent.map_err(|error| format!("http: {error}"))?;
    // The caller bounds the duration of a call.
    response.arrived().await;
    let message = response.message().await;
    Ok((response.status, json(&message)))
}

/// Checks that this is the answer to this call; otherwise returns the error and the server that it names.
fn judge(server: &str, mark: &Value, answer: &Value) -> Result<(), String> {
    if answer["result"]["echo"] == *mark {
        return Ok(());
    }
    let error = &answer["error"];
    match error["message"].as_str() {
        Some(text) if error["data"]["server"] == server => Err(text.to_owned()),
        Some(text) => Err(format!("about {}: {text}", error["data"]["server"])),
        None if answer.is_null() => Err("http: the connection ended before the answer".to_owned()),
        None => panic!("no answer to {mark}: {answer}"),
    }
}
