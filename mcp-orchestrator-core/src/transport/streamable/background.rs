//! Background work that outlives the call that caused it: cancellations, answers, draining of responses.

use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::limits::{CHORE_TIMEOUT, MAX_CHORES};

type Chore = BoxFuture<'static, ()>;

/// Runs chores concurrently; they are aborted when the owner is dropped.
#[derive(Debug)]
pub(crate) struct Janitor {
    short: mpsc::Sender<Chore>,
    long: mpsc::Sender<Chore>,
    _tasks: JoinSet<()>,
}

impl Janitor {
    pub(crate) fn new() -> Self {
        let mut tasks = JoinSet::new();
        // Separate queues, so that chores that wait for a caller's answer do not delay the others.
        let (short, todo) = mpsc::channel(MAX_CHORES);
        tasks.spawn(work(todo));
        let (long, todo) = mpsc::channel(MAX_CHORES);
        tasks.spawn(work(todo));
        Self {
            short,
            long,
            _tasks: tasks,
        }
    }

    /// Queues a chore that is limited to [`CHORE_TIMEOUT`]. Dropped if the queue is full, because short chores are
    /// optional.
    pub(crate) fn short(&self, chore: impl Future<Output = ()> + Send + 'static) {
        push(&self.short, async move {
            if tokio::time::timeout(CHORE_TIMEOUT, chore).await.is_err() {
                tracing::debug!("a chore towards a server took too long");
            }
        });
    }

    /// Queues a chore without a time limit. Dropped if the queue is full.
    pub(crate) fn long(&self, chore: impl Future<Output = ()> + Send + 'static) {
        push(&self.long, chore);
    }
}

fn push(queue: &mpsc::Sender<Chore>, chore: impl Future<Output = ()> + Send + 'static) {
    if queue.try_send(Box::pin(chore)).is_err() {
        tracing::debug!("a chore towards a server was dropped");
    }
}

async fn work(mut todo: mpsc::Receiver<Chore>) {
    let mut doing = FuturesUnordered::new();
    loop {
        tokio::select! {
            chore = todo.recv(), if doing.len() < MAX_CHORES => match chore {
                Some(chore) => doing.push(chore),
                None => break,
            },
            Some(()) = doing.next() => {}
        }
    }
    while doing.next().await.is_some() {}
}
