//! Starts one child: what it needs is checked and prepared, its group founded and listed, then it runs.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Pid;
use tokio::process::{Child, Command};

use super::Shared;
use super::environment::Environment;
use super::group::{Founder, Groups, pid};
use super::http::Port;
use super::live::Live;
use super::lookup::{Lookup, LookupError};
use super::secrets::SecretsError;
use crate::error::{Error, ErrorKind};
use crate::id::ServerId;
use crate::server::{CommandLine, Launch, Program, ProgramTransport};
use crate::value::Text;

/// Why a child could not be started. Holds no secret: neither arguments nor environment are in it.
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
    #[error("program {} cannot be executed: {error}{}", .program.display(), hint(.error))]
    Execute { program: PathBuf, error: io::Error },
    #[error("the backend is closing")]
    Closing,
}

/// A child that runs.
pub(super) struct Placed {
    pub(super) child: Child,
    pub(super) groups: Groups,
    pub(super) pid: u32,
    pub(super) port: Option<Port>,
    /// What the guard was told.
    pub(super) listed: Vec<Pid>,
}

/// What the file system says before anything runs.
struct Prepared {
    program: PathBuf,
    environment: Environment,
}

impl Placed {
    /// Starts it. Where that fails, nothing is left.
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
        // The guard comes first: it also takes away the secret files that are written next.
        let founder = Founder::new().map_err(PlaceError::Group)?;
        let group = founder.id();
        let listed = shared.guard.list(group, &shared.tasks, &shared.closing);
        listed.await.map_err(PlaceError::Group)?;
        let number = port.as_ref().map(Port::number);
        let (own, child) = match spawn(shared, live, command, number, group).await {
            Ok(spawned) => spawned,
            Err(error) => {
                founder.leave().await;
                shared.guard.strike(vec![group]).await;
                return Err(error);
            }
        };
        let placed = Self {
            groups: Groups::new(group, own),
            pid: child.id().unwrap_or_default(),
            child,
            port,
            listed: vec![group, own],
        };
        // The guard is needed for this only where the program makes a group of its own, so an error can wait for the
        // next start.
        let _ = shared.guard.list(own, &shared.tasks, &shared.closing).await;
        founder.leave().await;
        Ok(placed)
    }
}

/// Starts the program right into the group.
async fn spawn(
    shared: &Shared,
    live: &Live,
    line: &CommandLine,
    port: Option<u16>,
    group: Pid,
) -> Result<(Pid, Child), PlaceError> {
    let prepared = prepare(shared, live, line.clone(), port).await?;
    let mut command = command_line(line, prepared, port);
    command.process_group(group.as_raw_nonzero().get());
    let spawned = command.spawn().and_then(|child| Ok((pid(&child)?, child)));
    spawned.map_err(|error| PlaceError::Execute {
        program: command.as_std().get_program().into(),
        error,
    })
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

fn command_line(line: &CommandLine, prepared: Prepared, port: Option<u16>) -> Command {
    let mut command = std::process::Command::new(prepared.program);
    command
        // As it was typed: some programs look at their name.
        .arg0(&line.program)
        .env_clear()
        .envs(prepared.environment.into_variables())
        .args(line.args.iter().map(|text| argument(text, port)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(cwd) = &line.cwd {
        command.current_dir(cwd);
    }
    command.into()
}

fn argument(text: &Text, port: Option<u16>) -> OsString {
    match port {
        Some(port) => text.expose().replace("${PORT}", &port.to_string()).into(),
        None => text.expose().into(),
    }
}

/// What helps with an error of `exec`.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; the interpreter that its first line names is missing",
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            "; a script needs a first line such as `#!/bin/sh`"
        }
        _ => "",
    }
}

// === impl PlaceError ===

impl PlaceError {
    /// The error that a caller sees.
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
