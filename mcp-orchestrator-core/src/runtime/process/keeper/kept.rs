//! The backend's handle of a program under a keeper.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio_util::task::TaskTracker;

use super::wire::{Command, Report};
use super::{NAME, Order};
use crate::runtime::process::streams::Streams;

/// How long a keeper may take to start its program.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A program and its keeper. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Kept {
    keeper: Child,
    control: UnixStream,
    report: [u8; 5],
    filled: usize,
    /// The program's exit status, once it has ended; `Some(None)` if the keeper did not report one.
    ended: Option<Option<ExitStatus>>,
    pub(crate) pid: i32,
}

/// The result of starting a keeper.
struct Started {
    keeper: Child,
    control: StdUnixStream,
    pid: i32,
}

// === impl Kept ===

impl Kept {
    /// Starts a keeper and its program. `label` is shown in the keeper's command line.
    pub(crate) async fn start(
        order: Order,
        label: String,
        tasks: &TaskTracker,
    ) -> io::Result<(Self, Streams)> {
        let (theirs_in, ours_in) = io::pipe()?;
        let (ours_out, theirs_out) = io::pipe()?;
        let (ours_err, theirs_err) = io::pipe()?;
        let theirs: [OwnedFd; 3] = [theirs_in.into(), theirs_out.into(), theirs_err.into()];
        let work = tasks.spawn_blocking(move || start(&order, &label, &theirs));
        let started = work.await.map_err(io::Error::other)??;
        started.control.set_nonblocking(true)?;
        let kept = Self {
            keeper: started.keeper,
            control: UnixStream::from_std(started.control)?,
            report: [0; 5],
            filled: 0,
            ended: None,
            pid: started.pid,
        };
        let streams = Streams {
            stdin: Some(ChildStdin::from_std(OwnedFd::from(ours_in).into())?),
            stdout: Some(ChildStdout::from_std(OwnedFd::from(ours_out).into())?),
            stderr: Some(ChildStderr::from_std(OwnedFd::from(ours_err).into())?),
        };
        Ok((kept, streams))
    }

    /// Waits for the end of the program; its descendants may still be running. Cancel safe.
    pub(crate) async fn wait(&mut self) -> Option<ExitStatus> {
        while self.ended.is_none() {
            let read = self.control.read(&mut self.report[self.filled..]).await;
            match read {
                Ok(read) if read > 0 => self.filled += read,
                // The keeper itself was killed.
                _ => self.ended = Some(None),
            }
            if self.filled == self.report.len() {
                self.filled = 0;
                if let Some(Report::Ended(status)) = Report::decode(self.report) {
                    self.ended = Some(Some(ExitStatus::from_raw(status)));
                }
            }
        }
        self.ended.flatten()
    }

    /// Asks the program and all its descendants to terminate.
    pub(crate) fn terminate(&self) {
        self.ask(Command::Terminate);
    }

    /// Kills the program and all its descendants.
    pub(crate) fn kill(&self) {
        self.ask(Command::Kill);
    }

    /// Returns `true` if neither the program nor any descendant is left.
    pub(crate) fn is_empty(&mut self) -> bool {
        !matches!(self.keeper.try_wait(), Ok(None))
    }

    /// Waits until no process is left.
    pub(crate) async fn emptied(&mut self) {
        // An error means that there is no keeper to wait for.
        let _ = self.keeper.wait().await;
    }

    /// Returns the process ID of the keeper, the root of all descendants.
    pub(crate) fn root(&self) -> Option<i32> {
        i32::try_from(self.keeper.id()?).ok()
    }

    fn ask(&self, command: Command) {
        // A keeper that is gone has nothing left to end.
        let _ = self.control.try_write(&[command.byte()]);
    }
}

/// Starts the keeper. Blocks until the program runs or has failed to start.
fn start(order: &Order, label: &str, streams: &[OwnedFd; 3]) -> io::Result<Started> {
    let (control, theirs) = StdUnixStream::pair()?;
    control.set_read_timeout(Some(START_TIMEOUT))?;
    control.set_write_timeout(Some(START_TIMEOUT))?;
    // The link is resolved in the new process, to the file that this program was started from, even if that has been
    // replaced since.
    let mut keeper = std::process::Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut keeper, NAME);
    std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
    keeper
        .arg(label)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut command = tokio::process::Command::from(keeper);
    let keeper = command.spawn().map_err(failed)?;
    // The command holds the other end of the socket.
    drop(command);
    order.send(&control, streams).map_err(failed)?;
    let mut report = [0; 5];
    io::Read::read_exact(&mut &control, &mut report).map_err(failed)?;
    match Report::decode(report) {
        Some(Report::Started(pid)) => Ok(Started {
            keeper,
            control,
            pid,
        }),
        Some(Report::Failed(0)) => Err(io::ErrorKind::InvalidInput.into()),
        Some(Report::Failed(errno)) => Err(io::Error::from_raw_os_error(errno)),
        _ => Err(failed(io::ErrorKind::InvalidData.into())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn failed(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("its keeper cannot be started: {error}"),
    )
}
