//! Starts one child: checks and prepares what it needs, creates and lists its process group, then runs the program.

mod environment;
mod lookup;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Pid;
use tokio::process::{Child, Command};

use self::environment::Environment;
use self::lookup::{Lookup, LookupError};
use super::Shared;
use super::child::Live;
use super::group::{GroupFounder, Groups, pid};
use super::http::Port;
#[cfg(target_os = "linux")]
use super::keeper;
use super::keeper::Kept;
use super::keeper::Order;
use super::running::Running;
use super::secrets::SecretsError;
use super::streams::Streams;
use crate::error::{Error, ErrorKind};
use crate::id::ServerId;
use crate::server::{CommandLine, Launch, Program, ProgramTransport};
use crate::value::Text;

/// Why a child could not be started. Contains no secrets: neither arguments nor environment values.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("it runs elsewhere, so there is no process to start")]
    Remote,
    #[error("it has no `command`, and a process cannot run an image")]
    NoCommand,
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("port {port} cannot be used: {error}")]
    Port { port: u16, error: io::Error },
    #[error("no port is free: {0}")]
    NoPort(io::Error),
    #[error("its process group cannot be made (by /bin/sh): {0}")]
    Group(io::Error),
    #[error("program {} cannot be executed: {error}{hint}", .program.display())]
    Execute {
        program: PathBuf,
        error: io::Error,
        hint: String,
    },
    #[error("argument {0} holds a NUL byte, which no argument can")]
    NulInArgument(usize),
    #[error("variable {0} holds a NUL byte, which no variable can")]
    NulInVariable(String),
    #[error("the backend is closing")]
    Closing,
}

/// A running child.
pub(super) struct RunningChild {
    pub(super) running: Running,
    pub(super) streams: Streams,
    pub(super) pid: u32,
    pub(super) port: Option<Port>,
    /// The groups listed with the guard.
    pub(super) listed: Vec<Pid>,
}

/// The results of the file system checks before the start.
struct Prepared {
    program: PathBuf,
    environment: Environment,
}

impl RunningChild {
    /// Starts the child. If that fails, nothing is left behind.
    pub(super) async fn new(shared: &Shared, live: &Live) -> Result<Self, PlaceError> {
        let (program, command) = command_of(live)?;
        let port = match program.transport {
            ProgramTransport::Stdio => None,
            ProgramTransport::Http { port, .. } => {
                Some(shared.ports.take(port).await.map_err(|error| match port {
                    Some(port) => PlaceError::Port { port, error },
                    None => PlaceError::NoPort(error),
                })?)
            }
        };
        // Limited, because the start is most of the cost of a short-lived program.
        let _turn = shared
            .starts
            .acquire()
            .await
            .map_err(|_| PlaceError::Closing)?;
        #[cfg(target_os = "linux")]
        if keeper::is_enabled() {
            return kept(shared, live, command, port).await;
        }
        grouped(shared, live, command, port).await
    }
}

/// Starts the program under a keeper.
#[cfg(target_os = "linux")]
async fn kept(
    shared: &Shared,
    live: &Live,
    line: &CommandLine,
    port: Option<Port>,
) -> Result<RunningChild, PlaceError> {
    // The guard comes first, because it also deletes the secret files that are written next.
    let guarded = shared.guard.list(None, &shared.tasks, &shared.closing);
    guarded.await.map_err(PlaceError::Group)?;
    let number = port.as_ref().map(Port::number);
    let prepared = prepare(shared, live, line.clone(), number).await?;
    let program = prepared.program.clone();
    let order = order(line, prepared, number)?;
    let size = Size::of(&order);
    let label = live.key.server().to_string();
    let (kept, streams) = Kept::start(order, label, &shared.tasks)
        .await
        .map_err(|error| PlaceError::execute(program, error, &size))?;
    let own = Pid::from_raw(kept.pid).ok_or(PlaceError::Closing)?;
    // The group is only a second line of defence here, so an error can wait for the next start.
    let _ = shared
        .guard
        .list(Some(own), &shared.tasks, &shared.closing)
        .await;
    Ok(RunningChild {
        pid: kept.pid.unsigned_abs(),
        running: Running::kept(kept, Groups::new([own])),
        streams,
        port,
        listed: vec![own],
    })
}

/// Starts the program in a group that the guard already knows.
async fn grouped(
    shared: &Shared,
    live: &Live,
    line: &CommandLine,
    port: Option<Port>,
) -> Result<RunningChild, PlaceError> {
    // The guard comes first, because it also deletes the secret files that are written next.
    let founder = GroupFounder::new().map_err(PlaceError::Group)?;
    let group = founder.id();
    let listed = shared
        .guard
        .list(Some(group), &shared.tasks, &shared.closing);
    listed.await.map_err(PlaceError::Group)?;
    let number = port.as_ref().map(Port::number);
    let (own, mut child) = match spawn(shared, live, line, number, group).await {
        Ok(spawned) => spawned,
        Err(error) => {
            founder.leave().await;
            shared.guard.strike(vec![group]).await;
            return Err(error);
        }
    };
    limit(own);
    // The guard needs this ID only if the program creates its own group, so an error can wait for the next start.
    let _ = shared
        .guard
        .list(Some(own), &shared.tasks, &shared.closing)
        .await;
    founder.leave().await;
    let streams = Streams::of(&mut child);
    Ok(RunningChild {
        pid: child.id().unwrap_or_default(),
        running: Running::child(child, Groups::new([group, own])),
        streams,
        port,
        listed: vec![group, own],
    })
}

/// Disables core files, because a child's memory contains secrets.
#[cfg(target_os = "linux")]
fn limit(child: Pid) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let none = Some(0);
    let limit = Rlimit {
        current: none,
        maximum: none,
    };
    // The child may have ended or changed its user.
    let _ = prlimit(Some(child), Resource::Core, limit);
}

#[cfg(not(target_os = "linux"))]
fn limit(_child: Pid) {}

/// Starts the program directly in the group.
async fn spawn(
    shared: &Shared,
    live: &Live,
    line: &CommandLine,
    port: Option<u16>,
    group: Pid,
) -> Result<(Pid, Child), PlaceError> {
    let prepared = prepare(shared, live, line.clone(), port).await?;
    let program = prepared.program.clone();
    let order = order(line, prepared, port)?;
    let mut command = command_line(&order);
    command.process_group(group.as_raw_nonzero().get());
    let spawned = command.spawn().and_then(|child| Ok((pid(&child)?, child)));
    spawned.map_err(|error| PlaceError::execute(program, error, &Size::of(&order)))
}

fn command_of(live: &Live) -> Result<(&Program, &CommandLine), PlaceError> {
    let Launch::Program(program) = &live.launch.server.launch else {
        return Err(PlaceError::Remote);
    };
    let command = program.command.as_ref().ok_or(PlaceError::NoCommand)?;
    Ok((program, command))
}

async fn prepare(
    shared: &Shared,
    live: &Live,
    command: CommandLine,
    port: Option<u16>,
) -> Result<Prepared, PlaceError> {
    let (secrets, launch) = (live.secrets.clone(), live.launch.clone());
    let work = shared.tasks.spawn_blocking(move || {
        let environment = Environment::new(&launch, secrets.folder(), port);
        let lookup = Lookup {
            cwd: command.cwd.as_deref(),
            path: environment.path(),
            path_is_secret: launch.server.env.get("PATH").is_some_and(Text::is_secret),
        };
        let program = lookup.find(&command.program)?;
        secrets.write(&launch.credential)?;
        Ok(Prepared {
            program,
            environment,
        })
    });
    work.await.map_err(|_| PlaceError::Closing)?
}

/// Assembles everything that the program gets.
fn order(line: &CommandLine, prepared: Prepared, port: Option<u16>) -> Result<Order, PlaceError> {
    let order = Order {
        program: prepared.program.into(),
        // As configured, because some programs depend on the name they are called by.
        name: line.program.clone().into(),
        cwd: working_dir(line.cwd.as_deref()),
        args: line.args.iter().map(|text| argument(text, port)).collect(),
        environment: prepared.environment.into_variables(),
    };
    let has_nul = |text: &OsString| text.as_bytes().contains(&0);
    if let Some(index) = order.args.iter().position(has_nul) {
        return Err(PlaceError::NulInArgument(index + 1));
    }
    match order.environment.iter().find(|(_, value)| has_nul(value)) {
        Some((name, _)) => Err(PlaceError::NulInVariable(
            name.to_string_lossy().into_owned(),
        )),
        None => Ok(order),
    }
}

/// Returns the working directory of a program: absolute, because a keeper runs in another one. Empty if that of this
/// process is unknown.
fn working_dir(configured: Option<&Path>) -> OsString {
    let own = std::env::current_dir().unwrap_or_default();
    configured
        .map_or_else(|| own.clone(), |cwd| own.join(cwd))
        .into()
}

fn command_line(order: &Order) -> Command {
    let mut command = std::process::Command::new(&order.program);
    command
        .arg0(&order.name)
        .env_clear()
        .envs(&order.environment)
        .args(&order.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !order.cwd.is_empty() {
        command.current_dir(&order.cwd);
    }
    command.into()
}

fn argument(text: &Text, port: Option<u16>) -> OsString {
    match port {
        Some(port) => text.expose().replace("${PORT}", &port.to_string()).into(),
        None => text.expose().into(),
    }
}

/// The size of a program's arguments and environment, for error messages.
#[derive(Debug)]
struct Size {
    args: usize,
    environment: usize,
    largest: String,
}

impl Size {
    fn of(order: &Order) -> Self {
        let variables = order.environment.iter();
        let largest = variables.max_by_key(|(_, value)| value.len());
        let largest = largest.map_or_else(String::new, |(name, value)| {
            format!(
                "; the largest variable, {}, has {} bytes",
                name.display(),
                value.len()
            )
        });
        let sizes = order.environment.iter();
        Self {
            args: order.args.iter().map(|arg| arg.len() + 1).sum(),
            environment: sizes
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum(),
            largest,
        }
    }
}

/// Returns a hint for an `exec` error.
fn hint(error: &io::Error, size: &Size) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "; the interpreter that its first line names is missing".into(),
        io::ErrorKind::ArgumentListTooLong => format!(
            "; its arguments have {} bytes and its environment {}{}: the system allows about 128 KiB for one and 2 MiB \
             for all; pass large values in a file",
            size.args, size.environment, size.largest
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            "; a script needs a first line such as `#!/bin/sh`".into()
        }
        _ => String::new(),
    }
}

// === impl PlaceError ===

impl PlaceError {
    fn execute(program: PathBuf, error: io::Error, size: &Size) -> Self {
        let hint = hint(&error, size);
        Self::Execute {
            program,
            error,
            hint,
        }
    }

    /// Converts to the error that a caller sees.
    pub(super) fn of(self, server: &ServerId) -> Error {
        let kind = match self {
            Self::Remote | Self::NoCommand => ErrorKind::Unsupported,
            _ => ErrorKind::StartFailed,
        };
        Error::new(kind, format!("server {server} cannot be started"))
            .with_server(server)
            .with_source(self)
    }
}
