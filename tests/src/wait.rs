//! Bounded waiting: a test waits for what it wants to see, and never for a time.

use std::future::Future;
use std::time::Duration;

/// The longest wait for anything.
pub const LONG: Duration = Duration::from_secs(20);

/// The future's output, or a panic that says what was waited for.
///
/// # Panics
/// Where it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {LONG:?}"),
    }
}

/// Looks again and again until it holds.
///
/// # Panics
/// Where it does not hold in time.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    until_some(what, || holds().then_some(())).await;
}

/// Looks again and again until there is something.
///
/// # Panics
/// Where there is nothing in time.
pub async fn until_some<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, looking).await
}

/// Whether a process with this id is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to a process that this test started.
///
/// # Panics
/// Where the number is no process id.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let raw = i32::try_from(pid).expect("a process id fits");
    let pid = rustix::process::Pid::from_raw(raw).expect("a process id is not zero");
    // One that has ended already has what the test wants.
    let _ = rustix::process::kill_process(pid, signal);
}
