//! Bounded waiting: a test waits for what it wants to see, and never for a time.

use std::time::Duration;

/// The longest wait for anything.
const LONG: Duration = Duration::from_secs(20);

/// The future's output, or a panic that says what was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {LONG:?}"),
    }
}

/// Looks again and again until it holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, looking).await;
}
