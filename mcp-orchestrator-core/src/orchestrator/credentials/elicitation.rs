//! Asks the client of a call without a credential to open the setup page (URL elicitation), if the client declares
//! support for it.
//!
//! A legacy client's call is parked: it continues once the credential exists. If that takes too long or the client
//! declines, it gets the same error as any call without a credential. A modern client gets the request as a result and
//! calls again; no state is kept for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::HeaderMap;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::instructions::{ElicitationMode, SetupInstructions};
use crate::call::{Reply, ReplyItem, ServerRequest, own};
use crate::credential::{Credential, Generation, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, notification, quote, request, response, text};
use crate::orchestrator::forward::start_progress::tell;
use crate::orchestrator::input::request_state::Continuation;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::context::Context;
use crate::protocol::method;
use crate::runtime::Progress;
use crate::transport::progress_token;

/// Interval of the progress notifications of a parked call.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Key of the request in a modern client's `inputRequests` and `inputResponses`.
const QUESTION: &str = "connect";

impl Inner {
    /// Asks the client to open this URL. The reply contains the question, or continues after the answer.
    pub(crate) fn ask(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        unconnected: SetupInstructions,
        (asking, url): (ElicitationMode, String),
    ) -> Reply {
        let principal = &context.principal.id;
        let words = format!(
            "{} needs a credential: set it up on this page",
            unconnected.server
        );
        if matches!(asking, ElicitationMode::Result) {
            unconnected.tell_trail(context);
            let state = self.issue_state(context, message, Continuation::AfterCredential, "");
            let question = json!({ "mode": "url", "message": words, "url": url });
            let result = json!({
                "resultType": "input_required",
                "inputRequests": { QUESTION: { "method": method::ELICITATION, "params": question } },
                "requestState": state,
            });
            let id = message.id().unwrap_or("null");
            return Reply::ready(own(response(id, &result.to_string())));
        }
        let Some(place) = self.parking.enter(principal) else {
            tracing::debug!(%principal, "no call is parked: too many are");
            return unconnected.result(context, message);
        };
        let id = crate::seal::random_text(16);
        let question = json!({ "mode": "url", "elicitationId": id, "message": words, "url": url });
        let question = own(request(
            "0",
            method::ELICITATION,
            Some(&question.to_string()),
        ));
        let parked = Parked {
            inner: Arc::clone(self),
            changes: self.credentials_changed.subscribe(),
            rights: self.rights.subscribe(),
            context: Context {
                waited: true,
                begun: None,
                progress: None,
                ..context.clone()
            },
            message: message.clone(),
            unconnected,
            id,
            step: Step::Ask(question),
            until: Instant::now() + self.auth_wait,
            told: 0,
            _place: place,
        };
        Reply::stream(stream::unfold(Some(parked), Parked::next).flatten().boxed())
    }
}

/// A legacy call that waits for its credential.
struct Parked {
    inner: Arc<Inner>,
    context: Context,
    message: Message,
    unconnected: SetupInstructions,
    /// Id of the elicitation.
    id: String,
    step: Step,
    changes: watch::Receiver<u64>,
    rights: watch::Receiver<()>,
    until: Instant,
    /// Number of progress notifications sent.
    told: u32,
    _place: ParkingPlace,
}

enum Step {
    /// The question has to be sent.
    Ask(Message),
    /// The question was sent. Receives its answer; `None`: the client has accepted.
    Wait(Option<oneshot::Receiver<Message>>),
}

/// What ends the wait, or has to be handled during it.
enum Event {
    Connected,
    Answered(Option<Message>),
    /// Rights have changed.
    Rights,
    Late,
    Tell,
}

type Part = (BoxStream<'static, ReplyItem>, Option<Parked>);

impl Parked {
    /// Returns the next part of the reply, and the state for the following one.
    async fn next(parked: Option<Self>) -> Option<Part> {
        let mut parked = parked?;
        let answer = match &mut parked.step {
            Step::Ask(question) => {
                let (question, answer) = ServerRequest::new(question.clone());
                let said = parked.tells();
                parked.step = Step::Wait(Some(answer));
                let items = [ReplyItem::Request(question)].into_iter().chain(said);
                return Some((
                    stream::iter(items.collect::<Vec<_>>()).boxed(),
                    Some(parked),
                ));
            }
            Step::Wait(answer) => answer.take(),
        };
        parked.wait(answer).await
    }

    async fn wait(mut self, mut answer: Option<oneshot::Receiver<Message>>) -> Option<Part> {
        let before = self.refused().await;
        let again = Instant::now() + PROGRESS_INTERVAL;
        loop {
            let event = tokio::select! {
                () = connected(&self.inner, &self.context, &self.unconnected, (&mut self.changes, before.as_ref())) => Event::Connected,
                answered = answer_of(&mut answer) => Event::Answered(answered),
                Ok(()) = self.rights.changed() => Event::Rights,
                () = tokio::time::sleep_until(self.until) => Event::Late,
                () = tokio::time::sleep_until(again) => Event::Tell,
            };
            match event {
                Event::Connected => return Some(self.go_on().await),
                Event::Answered(Some(said)) if !agrees(&said) => break,
                // Accepted; or the question could not be delivered, but the link may still be opened.
                Event::Answered(_) => answer = None,
                Event::Late => break,
                Event::Rights => {
                    if let Err(lost) = self.still_waits().await {
                        return Some((stream::iter([ReplyItem::Failed(lost)]).boxed(), None));
                    }
                }
                Event::Tell => {
                    let Some(said) = self.tells() else { continue };
                    self.step = Step::Wait(answer);
                    return Some((stream::iter([said]).boxed(), Some(self)));
                }
            }
        }
        let result = self.unconnected.result(&self.context, &self.message);
        Some((result.boxed(), None))
    }

    /// Returns the rejected credential, which does not end the wait.
    async fn refused(&self) -> Option<(Revision, Generation)> {
        if self.unconnected.kind != ErrorKind::CredentialRejected {
            return None;
        }
        let found = found(&self.inner, &self.context, &self.unconnected).await?;
        Some((found.revision.clone(), found.generation))
    }

    /// Checks that the caller may still wait: it would be admitted, its gateway exposes the server, and the server is
    /// configured. Updates the teams of the principal.
    ///
    /// # Errors
    /// Describes what the caller has lost.
    async fn still_waits(&mut self) -> Result<()> {
        let (inner, server) = (&self.inner, &self.unconnected.server);
        inner.still_admitted(&self.context).await?;
        self.context.principal = inner.now(&self.context.principal);
        let view = inner.view(&self.context)?;
        let is_shown = view.entries.iter().any(|entry| entry.server == *server);
        if is_shown && inner.spec(server).is_ok() {
            return Ok(());
        }
        let text = format!("server {server} may not be used any more");
        Err(Error::new(ErrorKind::NoRoute, text))
    }

    /// Continues the call, which has its credential now.
    async fn go_on(mut self) -> Part {
        self.context.as_of = Some(self.inner.rights.now());
        if let Err(lost) = self.still_waits().await {
            return (stream::iter([ReplyItem::Failed(lost)]).boxed(), None);
        }
        let done = json!({ "elicitationId": self.id }).to_string();
        let done = own(notification(method::ELICITATION_COMPLETE, Some(&done)));
        let (progress, words) = Progress::channel();
        let (inner, message) = (self.inner, self.message);
        let mut context = self.context;
        context.progress = Some(progress);
        let token = progress_token(&message).map(|(_, token)| token);
        let coming =
            Box::pin(async move { inner.by_method(&context, &message, &HeaderMap::new()).await });
        let reply: Result<Reply> = match token {
            Some(token) => tell(coming, words, token).await,
            None => coming.await,
        };
        let first = stream::iter([ReplyItem::Notification(done)]);
        let rest = match reply {
            Ok(reply) => reply.boxed(),
            Err(error) => stream::iter([ReplyItem::Failed(error)]).boxed(),
        };
        (first.chain(rest).boxed(), None)
    }

    /// Returns a progress notification, if the client asked for progress.
    fn tells(&mut self) -> Option<ReplyItem> {
        let (_, token) = progress_token(&self.message)?;
        self.told += 1;
        let (server, token) = (&self.unconnected.server, lossy(&token));
        let words = quote(&format!("waiting for a credential of {server}"));
        // Smaller steps than those of a start, which follows.
        let step = format!("{:.9}", f64::from(self.told) * 1e-9);
        let params = format!(r#"{{"progressToken":{token},"progress":{step},"message":{words}}}"#);
        Some(ReplyItem::Notification(own(notification(
            method::PROGRESS,
            Some(&params),
        ))))
    }
}

fn lossy(token: &Bytes) -> String {
    String::from_utf8_lossy(token).into_owned()
}

/// Waits for the client's answer; forever if it was already received.
async fn answer_of(answer: &mut Option<oneshot::Receiver<Message>>) -> Option<Message> {
    match answer {
        Some(answer) => answer.await.ok(),
        None => std::future::pending().await,
    }
}

/// Returns `true` if the client's answer accepts the URL.
fn agrees(answer: &Message) -> bool {
    let result = answer.body().and_then(Members::read).unwrap_or_default();
    result.get("action").and_then(text).as_deref() == Some("accept")
}

/// Waits for a credential other than the rejected one.
async fn connected(
    inner: &Inner,
    context: &Context,
    unconnected: &SetupInstructions,
    (changes, before): (&mut watch::Receiver<u64>, Option<&(Revision, Generation)>),
) {
    loop {
        changes.mark_unchanged();
        if let Some(found) = found(inner, context, unconnected).await
            && before != Some(&(found.revision.clone(), found.generation))
        {
            return;
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn found(
    inner: &Inner,
    context: &Context,
    unconnected: &SetupInstructions,
) -> Option<Arc<Credential>> {
    let spec = inner.spec(&unconnected.server).ok()?;
    let found = inner
        .credential(context, &spec, &unconnected.rule, None)
        .await;
    found.ok()
}
