//! Bounded waiting: a test waits for a condition, not for a duration.

use std::future::Future;
use std::time::Duration;

/// The longest wait.
pub const LONG: Duration = Duration::from_secs(20);

/// Returns the future's output, or panics with what was waited for.
///
/// # Panics
/// If it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {LONG:?}"),
    }
}

/// Polls until the condition holds.
///
/// # Panics
/// If it does not hold in time.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    until_some(what, || holds().then_some(())).await;
}

/// Polls until there is a value.
///
/// # Panics
/// If there is no value in time.
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

/// Returns `true` if a process with this id exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to a process that this test started.
///
/// # Panics
/// If the number is not a process id.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let raw = i32::try_from(pid).expect("a process id fits");
    let pid = rustix::process::Pid::from_raw(raw).expect("a process id is not zero");
    // A process that has already ended is not an error.
    let _ = rustix::process::kill_process(pid, signal);
}
