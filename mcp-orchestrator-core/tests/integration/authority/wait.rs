//! Bounded waiting: tests wait for conditions, never for a fixed time.

use std::time::Duration;

/// Timeout of every wait.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for a future. Panics with the description on a timeout.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {WAIT_TIMEOUT:?}"),
    }
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, looking).await;
}
