//! Handles the events of instances: their starts and exits, and their messages.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::call::ReplyItem;
use crate::catalog::ListKey;
use crate::credential::{InForce, Owner};
use crate::error::Error;
use crate::metrics::{EndCause, StartKind};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::list_fetches::FetchReason;
use crate::pool::{Handle, Observer};
use crate::runtime::{InstanceKey, LogLine, LogSource};
use crate::server::ServerSpec;
use crate::transport::{Hello, Party, Unsolicited};

impl Observer for Inner {
    fn ready(&self, handle: &Arc<Handle>) {
        let Some(inner) = self.me() else { return };
        let kind = match handle.joined {
            true => StartKind::Reattached,
            false => StartKind::Started,
        };
        self.metrics
            .started(handle.key.server(), kind, handle.start_time);
        self.seen.started(&handle.key);
        inner.refresh(&ListKey::from(&handle.key), handle, FetchReason::Ready);
        inner.hear(handle);
    }

    fn failed(&self, key: &InstanceKey, output: Vec<LogLine>, error: &Error) {
        self.metrics.start_failed(key.server());
        self.seen.failed(key, &error.to_string());
        self.logs.keep(key, output);
        let text = format!("did not start: {error}");
        self.logs.note(key, LogSource::Orchestrator, &text);
    }

    fn unsolicited(&self, handle: &Arc<Handle>, party: Option<Party>, message: Unsolicited) {
        let Some(inner) = self.me() else { return };
        match message {
            Unsolicited::Notification(message) => inner.notified(handle, party, message),
            Unsolicited::Request(mut request) => {
                request.origin = Some(handle.key.clone());
                let by_party = party.and_then(|party| self.session_of(party));
                let session = by_party.or_else(|| {
                    self.sessions
                        .all()
                        .into_iter()
                        .find(|session| session.scope == *handle.key.scope())
                });
                match session {
                    Some(session) => self.push(&session, handle, ReplyItem::Request(request)),
                    None => request.refuse(),
                }
            }
        }
    }

    fn in_force<'a>(
        &'a self,
        server: &'a Arc<ServerSpec>,
        owner: &'a Owner,
    ) -> BoxFuture<'a, InForce> {
        self.resolver.in_force(server, owner).boxed()
    }

    fn token_ends(&self, handle: &Arc<Handle>) {
        let Some(inner) = self.me() else { return };
        let handle = Arc::clone(handle);
        self.pool
            .tasks()
            .spawn(async move { inner.next_token(&handle).await });
    }

    fn holds(&self, handle: &Handle) -> bool {
        self.tasks.holds(&handle.key)
    }

    fn note(&self, key: &InstanceKey, source: LogSource, line: &str) {
        self.logs.note(key, source, line);
    }

    fn kept<'a>(&'a self, key: &'a InstanceKey) -> BoxFuture<'a, Option<Hello>> {
        async move {
            let kept = self.catalog.get(&ListKey::from(key)).await;
            kept.map(|kept| kept.said())
        }
        .boxed()
    }

    fn gone(&self, key: &InstanceKey, reason: Option<&str>) {
        let cause = reason.map_or(EndCause::Stopped, |_| EndCause::Exited);
        self.metrics.ended(key.server(), cause);
        if let Some(reason) = reason {
            self.seen.failed(key, reason);
            self.logs
                .note(key, LogSource::Orchestrator, &format!("ended: {reason}"));
        }
    }
}
