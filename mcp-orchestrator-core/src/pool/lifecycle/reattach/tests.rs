//! Instances that continue when their conversation breaks off.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::task::JoinSet;

use super::*;
use crate::call::own;
use crate::credential::Credential;
use crate::id::ServerId;
use crate::jsonrpc::{Message, error_response, response};
use crate::pool::handle::Lease;
use crate::pool::{Caller, Observer};
use crate::protocol::{Era, method};
use crate::runtime::{
    Endpoint, Instance, InstanceEvent, LaunchSpec, LogLine, LogOptions, Progress, RuntimeBackend,
    Scope,
};
use crate::seal::StateKey;
use crate::server::ServerSpec;
use crate::transport::{Outgoing, Party, Unsolicited};

const HELLO: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#;

/// Runs one program that accepts a single handshake and outlives its connections.
#[derive(Debug, Default)]
struct Lasting {
    program: Arc<Mutex<Program>>,
    connection: Mutex<JoinSet<()>>,
    away: AtomicBool,
    /// The kind of the errors while the program is away; default: unavailable.
    refusal: Mutex<Option<ErrorKind>>,
    /// The program accepts no input, as when an attach hangs.
    silent: AtomicBool,
    stops: AtomicUsize,
    removes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Program {
    runs: bool,
    initialized: bool,
    calls: u32,
}

impl Program {
    /// Returns the program's answer to a line.
    fn answer(&mut self, line: &str) -> Option<Bytes> {
        let request = Message::parse(Bytes::copy_from_slice(line.as_bytes())).ok()?;
        let id = request.id()?;
        match request.method() {
            method::INITIALIZE if self.initialized => {
                Some(error_response(id, -32600, "already initialized", None))
            }
            method::INITIALIZE => {
                self.initialized = true;
                Some(response(id, HELLO))
            }
            "never" => None,
            _ => {
                self.calls += 1;
                Some(response(id, &self.calls.to_string()))
            }
        }
    }
}

async fn talk(program: Arc<Mutex<Program>>, stream: DuplexStream) {
    let (input, mut output) = tokio::io::split(stream);
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = program.lock().answer(&line);
        if let Some(answer) = answer {
            output.write_all(&answer).await.unwrap();
            output.write_all(b"\n").await.unwrap();
        }
    }
}

impl Lasting {
    fn cut(&self) {
        self.connection.lock().abort_all();
    }

    fn ended(&self) -> [usize; 2] {
        [self.stops.load(SeqCst), self.removes.load(SeqCst)]
    }
}

#[async_trait]
impl RuntimeBackend for Lasting {
    async fn start(
        &self,
        _: &InstanceKey,
        _: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        progress.set_ran_before(self.program.lock().runs);
        if self.away.load(SeqCst) {
            let text = "the cluster does not answer";
            let kind = self.refusal.lock().unwrap_or(ErrorKind::Unavailable);
            return Err(Error::new(kind, text));
        }
        let fresh = !std::mem::replace(&mut self.program.lock().runs, true);
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        if self.silent.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        let talk = talk(Arc::clone(&self.program), theirs);
        self.connection.lock().spawn(talk);
        let (reader, writer) = tokio::io::split(ours);
        let endpoint = Endpoint::Stream {
            reader: Box::new(reader),
            writer: Box::new(writer),
        };
        Ok(Instance {
            endpoint,
            fresh,
            exited: std::future::pending().boxed(),
        })
    }

    async fn stop(&self, _: &InstanceKey, _: Duration) -> Result<()> {
        self.stops.fetch_add(1, SeqCst);
        *self.program.lock() = Program::default();
        Ok(())
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.removes.fetch_add(1, SeqCst);
        self.stop(key, grace).await
    }

    async fn refresh(&self, _: &InstanceKey, _: &Credential) -> Result<()> {
        Ok(())
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        futures_util::StreamExt::boxed(futures_util::stream::empty())
    }

    async fn logs(
        &self,
        _: &InstanceKey,
        _: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        Ok(futures_util::StreamExt::boxed(futures_util::stream::empty()))
    }

    async fn describe(&self, key: &InstanceKey) -> Result<crate::runtime::Description> {
        crate::runtime::Description::from_watch(self.watch(), key).await
    }

    async fn leave(&self, _: &InstanceKey, _: Duration) -> Result<()> {
        Ok(())
    }
}

impl std::fmt::Display for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lasting")
    }
}

/// An observer with a stored handshake result of the program.
struct Keeps;

impl Observer for Keeps {
    fn ready(&self, _: &Arc<Handle>) {}
    fn unsolicited(&self, _: &Arc<Handle>, _: Option<Party>, _: Unsolicited) {}
    fn token_ends(&self, _: &Arc<Handle>) {}
    fn holds(&self, _: &Handle) -> bool {
        false
    }
    fn note(&self, _: &InstanceKey, _: LogSource, _: &str) {}
    fn failed(&self, _: &InstanceKey, _: Vec<LogLine>, _: &Error) {}
    fn kept<'a>(&'a self, _: &'a InstanceKey) -> BoxFuture<'a, Option<Hello>> {
        let hello = Hello {
            era: Era::Legacy,
            version: "2025-11-25".to_owned(),
            result: Bytes::from_static(HELLO.as_bytes()),
        };
        async { Some(hello) }.boxed()
    }
    fn in_force<'a>(
        &'a self,
        _: &'a Arc<ServerSpec>,
        _: &'a crate::credential::Owner,
    ) -> BoxFuture<'a, crate::credential::InForce> {
        async { crate::credential::InForce::Unknown }.boxed()
    }
    fn gone(&self, _: &InstanceKey, _: Option<&str>) {}
}

fn pool(backend: &Arc<Lasting>) -> Arc<Pool> {
    let key = Arc::new(StateKey::new([7; 32]));
    let backend: Arc<dyn RuntimeBackend> = Arc::clone(backend) as _;
    let pool = Pool::new(backend, key, false);
    let mut server = ServerSpec::command(ServerId::new("git").unwrap(), "git", [""; 0]);
    server.era = crate::server::EraChoice::Legacy;
    pool.apply([Arc::new(server)]);
    pool
}

async fn acquire(pool: &Arc<Pool>) -> Result<Lease> {
    let id = ServerId::new("git").unwrap();
    let credential = Arc::new(Credential::none());
    pool.acquire(&id, &credential, Scope::Shared, &Progress::unheard())
        .await
}

/// Calls a method and returns the result.
async fn call(pool: &Arc<Pool>, method: &str) -> Result<String> {
    let lease = acquire(pool).await?;
    let request = crate::jsonrpc::request("1", method, None);
    let message = own(request);
    let outgoing = Outgoing::plain(&message, 0, Era::Legacy);
    let engine = Caller::engine(Era::Legacy);
    let reply = lease.link.request(&outgoing, &engine, None);
    let answer = reply.await?.response().await?;
    Ok(answer.body().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn lost_connection_fails_calls_in_flight_and_the_next_call_rejoins() {
    let backend = Arc::new(Lasting::default());
    let pool = pool(&backend);
    assert_eq!(call(&pool, "count").await.unwrap(), "1");
    let cut = async {
        // The other call is in flight before this one is answered.
        assert_eq!(call(&pool, "count").await.unwrap(), "2");
        backend.cut();
    };
    let (lost, ()) = tokio::join!(call(&pool, "never"), cut);
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(
        call(&pool, "count").await.unwrap(),
        "3",
        "by the same program"
    );
    assert_eq!(backend.ended(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn temporarily_unreachable_instance_is_left_running() {
    let backend = Arc::new(Lasting::default());
    let pool = pool(&backend);
    assert_eq!(call(&pool, "count").await.unwrap(), "1");
    backend.away.store(true, SeqCst);
    backend.cut();
    assert!(call(&pool, "count").await.is_err());
    assert!(call(&pool, "count").await.is_err());
    backend.away.store(false, SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(call(&pool, "count").await.unwrap(), "2");
    assert_eq!(backend.ended(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn kept_instance_is_rejoined_after_a_restart() {
    let backend = Arc::new(Lasting::default());
    assert_eq!(call(&pool(&backend), "count").await.unwrap(), "1");
    backend.cut();
    let after = pool(&backend);
    let keeps: Arc<dyn Observer> = Arc::new(Keeps);
    after.observe(Arc::downgrade(&keeps));
    assert_eq!(
        call(&after, "count").await.unwrap(),
        "2",
        "by the same program"
    );
    assert_eq!(backend.ended(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn instance_is_replaced_after_a_restart_if_nothing_was_kept() {
    let backend = Arc::new(Lasting::default());
    assert_eq!(call(&pool(&backend), "count").await.unwrap(), "1");
    backend.cut();
    let after = pool(&backend);
    assert_eq!(
        call(&after, "count").await.unwrap(),
        "1",
        "by another program"
    );
    assert_eq!(backend.ended(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn failed_attach_after_a_restart_leaves_the_instance_running() {
    let backend = Arc::new(Lasting::default());
    assert_eq!(call(&pool(&backend), "count").await.unwrap(), "1");
    backend.cut();
    let after = pool(&backend);
    let keeps: Arc<dyn Observer> = Arc::new(Keeps);
    after.observe(Arc::downgrade(&keeps));
    backend.away.store(true, SeqCst);
    for _ in 0..10 {
        assert!(call(&after, "count").await.is_err());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    backend.away.store(false, SeqCst);
    assert_eq!(call(&after, "count").await.unwrap(), "2", "at once");
    assert_eq!(backend.ended(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn start_that_fails_during_an_outage_removes_nothing_afterwards() {
    // Away, silent, and just back with a 403 for what its Roles allow.
    for refusal in [
        ErrorKind::Unavailable,
        ErrorKind::TimedOut,
        ErrorKind::Config,
    ] {
        let backend = Arc::new(Lasting::default());
        let pool = pool(&backend);
        *backend.refusal.lock() = Some(refusal);
        backend.away.store(true, SeqCst);
        for _ in 0..10 {
            let refused = call(&pool, "count").await.unwrap_err();
            assert_eq!(refused.kind(), refusal);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        backend.away.store(false, SeqCst);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(call(&pool, "count").await.unwrap(), "1");
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(backend.ended(), [0, 0], "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_cannot_be_started_is_removed() {
    let backend = Arc::new(Lasting::default());
    let pool = pool(&backend);
    *backend.refusal.lock() = Some(ErrorKind::StartFailed);
    backend.away.store(true, SeqCst);
    assert!(call(&pool, "count").await.is_err());
    assert_eq!(backend.ended(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn hanging_attach_after_a_restart_leaves_the_instance_running() {
    let backend = Arc::new(Lasting::default());
    assert_eq!(call(&pool(&backend), "count").await.unwrap(), "1");
    backend.cut();
    let after = pool(&backend);
    let keeps: Arc<dyn Observer> = Arc::new(Keeps);
    after.observe(Arc::downgrade(&keeps));
    backend.silent.store(true, SeqCst);
    for _ in 0..3 {
        assert!(call(&after, "count").await.is_err());
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    backend.silent.store(false, SeqCst);
    assert_eq!(call(&after, "count").await.unwrap(), "2");
    assert_eq!(backend.ended(), [0, 0]);
}
