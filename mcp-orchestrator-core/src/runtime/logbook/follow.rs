//! A stream of the lines that are added to a log.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::lines::Lines;
use crate::error::Result;
use crate::runtime::LogLine;

struct Follow {
    lines: Arc<Mutex<Lines>>,
    bell: watch::Receiver<u64>,
    next: u64,
    queue: VecDeque<LogLine>,
}

/// Returns the lines with number `next` and higher, and then new ones until the log is forgotten.
pub(super) fn follow(
    lines: Arc<Mutex<Lines>>,
    bell: watch::Receiver<u64>,
    next: u64,
) -> impl stream::Stream<Item = Result<LogLine>> + Send + 'static {
    let state = Follow {
        lines,
        bell,
        next,
        queue: VecDeque::new(),
    };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(line) = state.queue.pop_front() {
                return Some((Ok(line), state));
            }
            state.bell.borrow_and_update();
            let found = {
                let lines = state.lines.lock();
                let found = lines.since(state.next);
                state.next = lines.next;
                found
            };
            state.queue = found;
            if state.queue.is_empty() && state.bell.changed().await.is_err() {
                return None;
            }
        }
    })
}
