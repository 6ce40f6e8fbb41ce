//! The keeper: the parent of one program, from which no descendant can escape.
//!
//! A process leaves its group with `setsid` and its parent with a double fork, so neither shows what a program has
//! left behind. A *child subreaper* does: every orphan among its descendants becomes its child. So each program is
//! started by a separate process that is a subreaper. It waits for all descendants of the program and ends them on a
//! command of the backend, or when the backend's end of their socket closes, which happens however the backend's
//! process ends.
//!
//! The keeper is the host program's own executable under another name, so a host that wants keepers calls [`keeper`]
//! first thing in its `main`. Linux only: other systems have only process groups.

mod kept;
mod wire;

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, WaitOptions, getpid, set_child_subreaper,
    set_dumpable_behavior, setrlimit, wait,
};

pub(super) use self::kept::Kept;
pub(super) use self::wire::Order;
use self::wire::{Command, Report};
use super::process_tree::descendants;

/// The name under which the host program runs itself as a keeper.
const NAME: &str = "mcp-orchestrator-keeper";
/// Time between SIGTERM and SIGKILL when the backend is gone.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// Delay between two checks for remaining processes.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum number of passes that stop new processes before all are killed: a program may fork faster than it is
/// killed.
const FREEZE_PASSES: usize = 50;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Returns `true` if this program can run itself as a keeper.
pub(super) fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Enables a [`ProcessBackend`](crate::runtime::ProcessBackend) of this program to end all descendants of its
/// children, even those in other sessions. Call it first in `main`, before any thread is started:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     if let Some(code) = mcp_orchestrator_core::runtime::keeper() {
///         return code;
///     }
///     // …
///     ExitCode::SUCCESS
/// }
/// ```
///
/// Returns an exit code if a backend started this process as the keeper of a child; the program must then exit with
/// it. Without this call, a backend finds what a child left behind only through process groups and parents.
pub fn keeper() -> Option<ExitCode> {
    if std::env::args_os().next().is_none_or(|name| name != NAME) {
        // Without `/proc`, neither this executable nor any descendant can be found.
        let has_proc = std::path::Path::new("/proc/self/stat").exists();
        ENABLED.store(has_proc, Ordering::Relaxed);
        return None;
    }
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn run() -> std::io::Result<()> {
    // Descriptors that the host inherited must not reach the program.
    close_fds::set_fds_cloexec(3, &[]);
    let _signals = ignore_signals()?;
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    set_child_subreaper(Some(getpid()))?;
    // The order contains secrets, which other processes of this user could otherwise read from memory.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Some(0);
    let no_core = Rlimit {
        current: none,
        maximum: none,
    };
    setrlimit(Resource::Core, no_core)?;
    // Only for `ps` and `top`, which would show `exe` because of `/proc/self/exe`.
    let _ = std::fs::write("/proc/self/comm", "mcpo-keeper");
    let (order, streams) = Order::receive(&control)?;
    let program = match start(&order, streams) {
        Ok(pid) => pid,
        Err(error) => {
            let failed = Report::Failed(error.raw_os_error().unwrap_or_default());
            return (&control).write_all(&failed.encode());
        }
    };
    (&control).write_all(&Report::Started(program).encode())?;
    let commands = control.try_clone()?;
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || obey(commands))?;
    reap(&control, program);
    Ok(())
}

/// Makes the keeper immune to signals other than SIGKILL: a signal to all processes of a service is meant for the
/// program. Uses handlers (of tokio) instead of SIG_IGN, which the program would inherit.
fn ignore_signals() -> std::io::Result<impl Sized> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let streams = {
        let _entered = runtime.enter();
        [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ]
        .map(signal)
    };
    Ok((runtime, streams))
}

/// Starts the program. The streams are closed here, so that end-of-file is seen once the program closes them.
fn start(order: &Order, streams: [std::os::fd::OwnedFd; 3]) -> std::io::Result<i32> {
    let [stdin, stdout, stderr] = streams.map(Stdio::from);
    let mut command = std::process::Command::new(&order.program);
    command
        .arg0(&order.name)
        .args(&order.args)
        .env_clear()
        .envs(&order.environment)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        // A `kill 0` by the program must not reach the keeper.
        .process_group(0);
    if !order.cwd.is_empty() {
        command.current_dir(&order.cwd);
    }
    let child = command.spawn()?;
    Ok(i32::try_from(child.id()).unwrap_or_default())
}

/// Waits for every descendant; returns when no process is left.
fn reap(mut control: &UnixStream, program: i32) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == program => {
                // Fails if the backend is gone, in which case the report is not needed.
                let _ = control.write_all(&Report::Ended(status.as_raw()).encode());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Executes commands. Never returns: the process exits when no descendant is left.
#[expect(
    clippy::disallowed_methods,
    reason = "a keeper is a process of its own, without a runtime"
)]
fn obey(mut commands: UnixStream) {
    let mut byte = [0];
    loop {
        match commands.read(&mut byte) {
            Ok(1) => match Command::from_byte(byte[0]) {
                Some(Command::Terminate) => terminate(),
                Some(Command::Kill) => kill(),
                None => {}
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break,
        }
    }
    terminate();
    let deadline = Instant::now() + ORPHAN_GRACE;
    while Instant::now() < deadline && !below().is_empty() {
        std::thread::sleep(POLL_INTERVAL);
    }
    loop {
        kill();
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn terminate() {
    for process in below() {
        process.signal(Signal::TERM);
        // A stopped process handles the signal only after it continues.
        process.signal(Signal::CONT);
    }
}

fn kill() {
    let mut stopped = std::collections::BTreeSet::new();
    for _ in 0..FREEZE_PASSES {
        let all = below();
        let new: Vec<_> = all.difference(&stopped).copied().collect();
        if new.is_empty() {
            break;
        }
        new.iter().for_each(|process| process.signal(Signal::STOP));
        stopped.extend(new);
    }
    for process in below() {
        process.signal(Signal::KILL);
    }
}

fn below() -> std::collections::BTreeSet<super::process_tree::Process> {
    descendants(&[getpid().as_raw_nonzero().get()])
}
