//! Chores that outlive the call that left them: cancellations, answers, the rest of a response.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The longest time for a chore that nobody waits for.
const CHORE: Duration = Duration::from_secs(10);
/// Chores that wait; more are dropped, since each is a courtesy.
const QUEUE: usize = 1024;

/// Does chores one beside the other; ends with its owner.
#[derive(Debug)]
pub(super) struct Janitor {
    chores: mpsc::Sender<BoxFuture<'static, ()>>,
    _task: JoinSet<()>,
}

impl Janitor {
    pub(super) fn new() -> Self {
        let (chores, mut todo) = mpsc::channel::<BoxFuture<'static, ()>>(QUEUE);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut doing = FuturesUnordered::new();
            loop {
                tokio::select! {
                    chore = todo.recv() => match chore {
                        Some(chore) => doing.push(chore),
                        None => break,
                    },
                    Some(()) = doing.next() => {}
                }
            }
            while doing.next().await.is_some() {}
        });
        Self {
            chores,
            _task: task,
        }
    }

    /// Does it soon, within a short time.
    pub(super) fn short(&self, chore: impl Future<Output = ()> + Send + 'static) {
        self.long(async move {
            if tokio::time::timeout(CHORE, chore).await.is_err() {
                tracing::debug!("a chore towards a server took too long");
            }
        });
    }

    /// Does it, however long it takes.
    pub(super) fn long(&self, chore: impl Future<Output = ()> + Send + 'static) {
        if self.chores.try_send(Box::pin(chore)).is_err() {
            tracing::debug!("a chore towards a server was dropped");
        }
    }
}
