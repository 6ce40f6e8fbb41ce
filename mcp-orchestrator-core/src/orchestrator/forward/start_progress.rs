//! Progress notifications for a call that waits for its instance to start, if the client asked for progress.
//!
//! Such a call is answered with a stream as soon as there is something to report. The start's notifications come first
//! and increase the progress in tiny steps, so that the server's own progress can continue from there: the protocol
//! requires progress to increase.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::call::{Reply, ReplyItem, own};
use crate::error::Result;
use crate::jsonrpc::{Members, Message, Splice, notification, quote};
use crate::protocol::method;

/// A shorter start is not reported: the call is answered as if the instance had been running.
const START_NOTICE_AFTER: Duration = Duration::from_secs(1);
/// Minimum interval between two notifications. Of several changes in between, only the last is reported.
const MIN_NOTICE_INTERVAL: Duration = Duration::from_millis(500);
/// Interval at which an unchanged message is repeated, for clients that extend their timeout on progress.
const REPEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Increase of the progress per notification of a start.
const STEP: f64 = 1e-6;

type Coming = BoxFuture<'static, Result<Reply>>;

/// Returns the reply; if it is slow and there is progress to report, a stream that begins with it.
pub(crate) async fn tell(
    mut coming: Coming,
    mut words: watch::Receiver<Arc<str>>,
    token: Bytes,
) -> Result<Reply> {
    let slow = async {
        tokio::time::sleep(START_NOTICE_AFTER).await;
        words.wait_for(|word| !word.is_empty()).await.is_ok()
    };
    let told = tokio::select! {
        biased;
        reply = &mut coming => return reply,
        told = slow => told,
    };
    if !told {
        // The sender of progress is gone: the reply is about to arrive.
        return coming.await;
    }
    words.mark_changed();
    let telling = Telling {
        coming: Some(coming),
        words,
        steps: Steps { token, last: 0.0 },
        told: None,
    };
    Ok(Reply::stream(telling.into_stream().boxed()))
}

/// A call in progress and the progress messages of its start.
struct Telling {
    coming: Option<Coming>,
    words: watch::Receiver<Arc<str>>,
    steps: Steps,
    /// Time of the last notification.
    told: Option<Instant>,
}

impl Telling {
    /// Returns a stream of the notifications, followed by the reply.
    fn into_stream(self) -> impl Stream<Item = ReplyItem> + Send {
        stream::unfold(Some(self), |telling| async move {
            let mut telling = telling?;
            match telling.next().await {
                Next::Word(message) => {
                    let word = stream::iter([ReplyItem::Notification(message)]).boxed();
                    Some((word, Some(telling)))
                }
                Next::Reply(Ok(reply)) => {
                    let mut steps = telling.steps;
                    let items = reply.map(move |item| steps.go_on(item)).boxed();
                    Some((items, None))
                }
                Next::Reply(Err(error)) => {
                    let failed = stream::iter([ReplyItem::Failed(error)]).boxed();
                    Some((failed, None))
                }
            }
        })
        .flatten()
    }

    async fn next(&mut self) -> Next {
        let Some(coming) = &mut self.coming else {
            return Next::Reply(Ok(Reply::stream(stream::empty().boxed())));
        };
        let (words, told) = (&mut self.words, self.told);
        let word = async {
            let Some(told) = told else {
                return words.borrow_and_update().clone();
            };
            tokio::time::sleep_until(told + MIN_NOTICE_INTERVAL).await;
            if words.changed().now_or_never().is_none() {
                // If the sender is gone, the message is repeated until the reply arrives.
                let changed = async {
                    if words.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let _ = tokio::time::timeout_at(told + REPEAT_INTERVAL, changed).await;
            }
            words.borrow_and_update().clone()
        };
        tokio::select! {
            biased;
            reply = coming => {
                self.coming = None;
                Next::Reply(reply)
            }
            word = word => {
                self.told = Some(Instant::now());
                Next::Word(self.steps.word(&word))
            }
        }
    }
}

/// The next part of a call in progress.
enum Next {
    Word(Message),
    Reply(Result<Reply>),
}

/// The progress of one call so far.
struct Steps {
    token: Bytes,
    last: f64,
}

impl Steps {
    /// Returns a progress notification with this message.
    fn word(&mut self, word: &str) -> Message {
        self.last += STEP;
        let token = String::from_utf8_lossy(&self.token);
        let (progress, word) = (self.last, quote(word));
        let params =
            format!("{{\"progressToken\":{token},\"progress\":{progress:.6},\"message\":{word}}}");
        own(notification(method::PROGRESS, Some(&params)))
    }

    /// Adapts the server's progress, which may begin lower than that of the start.
    fn go_on(&mut self, item: ReplyItem) -> ReplyItem {
        let ReplyItem::Notification(message) = &item else {
            return item;
        };
        if message.method() != method::PROGRESS {
            return item;
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let told = members
            .get("progress")
            .and_then(|raw| raw.parse::<f64>().ok());
        if members.get("progressToken").map(str::as_bytes) != Some(&*self.token)
            || told.is_none_or(|told| told > self.last)
        {
            return item;
        }
        self.last += STEP;
        let mut splice = Splice::new();
        let step = Bytes::from(format!("{:.6}", self.last));
        splice.member(message.bytes(), &members, "progress", step);
        ReplyItem::Notification(message.spliced(&splice))
    }
}

#[cfg(test)]
mod tests;
