//! The gateway as a program: configuration, listener, signals, drain.

pub mod args;
pub mod demo_server;
pub mod discover;
pub mod hardening;
pub(crate) mod live_routes;
mod not_ready;
pub(crate) mod options;
pub(crate) mod reload;
mod reload_turns;
pub mod telemetry;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mcp_orchestrator_core::app::{Authenticators, Built, WhenUnavailable};
use mcp_orchestrator_core::auth::LocalAuthenticator;
use mcp_orchestrator_core::config::{Loaded, Settings, load};
use mcp_orchestrator_core::id::GatewayId;
pub use mcp_orchestrator_core::runtime::keeper;
use mcp_orchestrator_core::runtime::port_holder;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::args::GatewayArgs;
use self::live_routes::{Live, ready};
use self::reload::Reloader;
use self::reload_turns::ReloadTurns;
use self::telemetry::Telemetry;
use crate::control::{Control, Socket, wire};
use crate::{Shutdown, control, metrics_router, serve_with};

/// The part of the grace period that is left for closing connections once no more are accepted.
const CLOSING: Duration = Duration::from_secs(2);
/// Exit code for invalid configuration or arguments.
const CONFIG: u8 = 2;
/// Exit code for a failure at run time.
const FAILED: u8 = 1;

/// Why the program ends: a message and an exit code.
#[derive(Debug)]
pub struct Failure {
    /// The message for the user.
    pub message: String,
    /// The process's exit code.
    pub code: u8,
}

#[expect(clippy::needless_pass_by_value, reason = "they stand in map_err")]
impl Failure {
    fn config(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            code: CONFIG,
        }
    }

    fn run(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            code: FAILED,
        }
    }

    /// Returns the process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// A gateway that listens but does not serve yet.
#[derive(Debug)]
pub struct Gateway {
    args: GatewayArgs,
    settings: Settings,
    live: Arc<Live>,
    built: Arc<Built>,
    listener: TcpListener,
    metrics: Option<TcpListener>,
    control: Option<Socket>,
    address: SocketAddr,
    telemetry: Telemetry,
}

impl Gateway {
    /// Reads the configuration, installs logging, builds the orchestrator and listens.
    ///
    /// # Errors
    /// All errors in the configuration, or why it cannot listen.
    pub async fn prepare(mut args: GatewayArgs) -> Result<Self, Failure> {
        args.files.config = discover::config_files(&args.files.config).map_err(Failure::config)?;
        let options = args.load_options().map_err(Failure::config)?;
        let Loaded { settings, notices } =
            load(&args.files.config, &options).map_err(Failure::config)?;
        let telemetry = telemetry::install(&args, &settings.log).map_err(Failure::config)?;
        notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        options::reachable(&settings).map_err(Failure::config)?;
        let authenticators = Authenticators::new(&settings, None).map_err(Failure::config)?;
        let tls = options::tls(&settings).map_err(Failure::config)?;
        let listener = bind(settings.listen).await?;
        let metrics = match settings.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = listener.local_addr().map_err(Failure::run)?;
        let building =
            settings.build_with(settings.auth.is_single_principal(), WhenUnavailable::Wait);
        let building = not_ready::meanwhile(building, &listener, metrics.as_ref());
        let built = Arc::new(building.await.map_err(built)?);
        telemetry.attach(built.orchestrator());
        // Collisions are only logged: a server that now lists another's name must not keep the gateway from starting.
        let local = LocalAuthenticator::for_system_user();
        built.conflicts(local.principal()).await;
        let control = listen_for_control(&built).await;
        let live = Arc::new(Live::new(
            &settings,
            (&built, authenticators),
            (address, tls),
        ));
        Ok(Self {
            args,
            settings,
            live,
            built,
            listener,
            metrics,
            control,
            address,
            telemetry,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint's address for the default gateway.
    pub fn url(&self) -> String {
        match &self.settings.auth.public_url {
            Some(url) => url.gateway(&GatewayId::default_gateway()),
            None => format!("http://{}/mcp", self.address),
        }
    }

    /// The names of the configured servers.
    pub fn servers(&self) -> Vec<String> {
        let servers = self.settings.servers.iter();
        servers.map(|server| server.id.to_string()).collect()
    }

    /// The app that was built from the configuration.
    pub fn built(&self) -> &Arc<Built> {
        &self.built
    }

    /// Serves until `when` completes, then lets running calls finish and stops every instance.
    ///
    /// # Errors
    /// If the endpoint cannot be created.
    pub async fn run(mut self, when: impl Future<Output = ()> + Send) -> Result<(), Failure> {
        let orchestrator = self.built.orchestrator().clone();
        let (live, reloader) = (Arc::clone(&self.live), self.reloader()?);
        let next = live.next(&reloader.control, &self.settings);
        let next = next.map_err(Failure::run)?;
        live.take(&self.built, next);
        // The control endpoint reloads through it, even if the files cannot be watched.
        let mut beside = self.beside(Arc::clone(&reloader));
        let authenticators = live.authenticators();
        beside.spawn(async move { authenticators.fetch_keys().await });
        let grace = self.args.grace();
        let (stopping, built) = (orchestrator.clone(), Arc::clone(&self.built));
        let began = Arc::new(OnceLock::new());
        let noted = Arc::clone(&began);
        let stopped = CancellationToken::new();
        let stops = stopped.clone();
        let when = async move {
            when.await;
            tracing::info!("stopping: running calls may finish");
            let _ = noted.set(Instant::now());
            stops.cancel();
            stopping.drain();
            // The next process need not wait for the longest call of this one. Until that call has ended, others are
            // served too.
            built.release_lease().await;
            let _ = tokio::time::timeout(grace.saturating_sub(CLOSING), stopping.quiet()).await;
        };
        let over = async {
            stopped.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            () = serve_with(self.listener, live.routes(), Shutdown { when, grace }) => {}
            () = over => tracing::warn!("connections are cut: they did not finish in time"),
        }
        beside.shutdown().await;
        let used = began.get().map_or(Duration::ZERO, Instant::elapsed);
        orchestrator.shutdown(grace.saturating_sub(used)).await;
        self.built.leave().await;
        self.telemetry.close().await;
        Ok(())
    }
}

impl Gateway {
    /// Starts the tasks that run beside the endpoint: reload, metrics, control.
    fn beside(&mut self, reloader: Arc<Reloader>) -> JoinSet<()> {
        let mut beside = JoinSet::new();
        if let Some(socket) = self.control.take() {
            beside.spawn(socket.serve(control::router(reloader.control.clone())));
        }
        beside.spawn(reload::watch(reloader));
        if let Some(listener) = self.metrics.take() {
            let shutdown = Shutdown {
                when: std::future::pending(),
                grace: self.args.grace(),
            };
            let orchestrator = self.built.orchestrator().clone();
            let metrics = metrics_router(orchestrator, ready(&self.built));
            beside.spawn(serve_with(listener, metrics, shutdown));
        }
        beside
    }

    fn reloader(&self) -> Result<Arc<Reloader>, Failure> {
        let options = self.args.load_options().map_err(Failure::config)?;
        Ok(Arc::new_cyclic(|reloader: &Weak<Reloader>| Reloader {
            files: self.args.files.config.clone(),
            options,
            turns: ReloadTurns::default(),
            control: Control {
                built: Arc::clone(&self.built),
                principal: Arc::clone(LocalAuthenticator::for_system_user().principal()),
                about: self.about(),
                program: Weak::<Reloader>::clone(reloader),
                sign_ins: Arc::default(),
            },
            live: Arc::downgrade(&self.live),
        }))
    }

    fn about(&self) -> wire::Status {
        let metrics = self.metrics.as_ref();
        let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
        wire::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            listen: self.address,
            metrics_listen: metrics.and_then(|listener| listener.local_addr().ok()),
            state_dir: self.built.state().path().to_path_buf(),
            files: self.args.files.config.iter().map(absolute).collect(),
            servers: Vec::new(),
            gateways: Vec::new(),
        }
    }
}

/// Reports errors in the cluster's configuration as configuration errors.
fn built(error: mcp_orchestrator_core::Error) -> Failure {
    match error.kind() {
        mcp_orchestrator_core::ErrorKind::Config => Failure::config(error),
        _ => Failure::run(error),
    }
}

/// Without a place for the control endpoint, the gateway serves without it.
async fn listen_for_control(built: &Built) -> Option<Socket> {
    let socket = Socket::bind(built.state().path()).await;
    socket
        .inspect_err(|error| {
            tracing::warn!(%error, "no control endpoint: the command line will not find this gateway");
        })
        .ok()
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let holder = match error.kind() {
            std::io::ErrorKind::AddrInUse => port_holder(address),
            _ => None,
        };
        let who = holder.map_or_else(String::new, |who| format!(" by {who}"));
        let out = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; end it, or choose another port with --listen (127.0.0.1:0 is any free one)"
            }
            _ => "",
        };
        Failure::run(format!("cannot listen on {address}: {error}{who}{out}"))
    })
}

/// Completes at SIGINT or SIGTERM. From this call on, even before the future is polled, these signals no longer end the
/// process.
///
/// # Panics
/// If the system refuses signal handlers, and outside a tokio runtime.
pub fn signalled() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signal handlers can be installed");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signal handlers can be installed");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
