//! Recovers lost sessions: opens a new session and sends the request again that detected the loss.

use std::sync::Arc;

use super::Session;
use super::cancel_on_drop::Guard;
use crate::call::Reply;
use crate::error::Result;
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::headers::Verb;
use crate::transport::streamable::request::ready::Ready;
use crate::transport::streamable::response::refusal::{Loss, Refusal};
use crate::transport::streamable::response::reply::Answer;

impl Session {
    /// Sends a request in the session and recovers a lost session.
    pub(crate) async fn post(
        &self,
        conversation: Arc<Conversation>,
        request: &Ready<'_>,
    ) -> Result<Reply> {
        match attempt(self.http(), &conversation, request).await? {
            Answer::Reply(reply) => Ok(reply),
            // Boxed because this path is rare and its future is large.
            Answer::Refused(refusal) => {
                Box::pin(self.recover(conversation, *refusal, request)).await
            }
        }
    }

    async fn recover(
        &self,
        conversation: Arc<Conversation>,
        refusal: Refusal,
        request: &Ready<'_>,
    ) -> Result<Reply> {
        let server = &self.http().place.server;
        match refusal.loss {
            Loss::Certain if conversation.is_named() => {
                tracing::info!(%server, "the server has lost the session; opening it again");
                self.lost(&conversation);
                let conversation = self.conversation().await?;
                match attempt(self.http(), &conversation, request).await? {
                    Answer::Reply(reply) => Ok(reply),
                    Answer::Refused(refusal) => refusal.outcome(),
                }
            }
            Loss::Suspected if conversation.is_named() && conversation.may_probe() => {
                tracing::debug!(%server, "the server may have lost the session; trying a new one");
                self.probe(conversation, refusal, request).await
            }
            _ => refusal.outcome(),
        }
    }

    /// Sends the request in a new session, which replaces the old one if the request succeeds there.
    async fn probe(
        &self,
        old: Arc<Conversation>,
        refusal: Refusal,
        request: &Ready<'_>,
    ) -> Result<Reply> {
        let Ok(new) = self.initialize().await else {
            return refusal.outcome();
        };
        let new = Arc::new(new);
        match attempt(self.http(), &new, request).await {
            Ok(Answer::Reply(reply)) => {
                tracing::info!(server = %self.http().place.server, "the server had lost the session; it is opened again");
                self.replace(&old, new);
                Ok(reply)
            }
            Ok(Answer::Refused(_)) | Err(_) => {
                self.end(new);
                refusal.outcome()
            }
        }
    }
}

async fn attempt(
    http: &Arc<Http>,
    conversation: &Arc<Conversation>,
    request: &Ready<'_>,
) -> Result<Answer> {
    let guard = Guard {
        http: Arc::clone(http),
        conversation: Arc::clone(conversation),
        id: Some(request.id),
    };
    let traced = request.trace.map(|trace| conversation.lines().with(trace));
    let sent = http.exchange(
        Verb::Post,
        &request.body,
        traced.as_ref().unwrap_or_else(|| conversation.lines()),
        (request.repeat, request.check),
    );
    let answer = match sent.await {
        Ok(exchange) => {
            let mut exchange = Some(exchange);
            http.answer(&mut exchange, request.id, Some(conversation))
                .await
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(Answer::Reply(reply)) => Ok(Answer::Reply(guard.watch(reply))),
        refused => {
            guard.disarm();
            refused
        }
    }
}
