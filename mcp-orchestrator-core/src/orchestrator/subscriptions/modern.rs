//! Resource subscriptions of modern clients' streams.

use std::sync::Arc;

use super::speaks_modern;
use super::upstream::Settled;
use crate::limits::{MAX_SUBSCRIBED_URI_LEN, SUBSCRIBED_TIMEOUT};
use crate::orchestrator::authority::AllowedBy;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::listeners::Listener;
use crate::orchestrator::state::subscriptions::Via;
use crate::router::Item;
use crate::runtime::Progress;

impl Inner {
    /// Subscribes a modern client to resources. Returns the URIs that the server accepts.
    ///
    /// # Cancel safety
    /// Subscriptions that were made before the future is dropped remain in the table under the listener's party. The
    /// caller has to remove them.
    pub(crate) async fn listen_to_resources(
        self: &Arc<Self>,
        context: &Context,
        listener: &Listener,
        uris: &[String],
    ) -> Vec<String> {
        let mut accepted = Vec::new();
        for uri in uris {
            if self.listen_to(context, listener, uri).await.is_some() {
                accepted.push(uri.clone());
            }
        }
        accepted
    }

    /// Subscribes a modern client to one resource; `None` if it is not accepted.
    async fn listen_to(
        self: &Arc<Self>,
        context: &Context,
        listener: &Listener,
        uri: &str,
    ) -> Option<()> {
        if uri.len() > MAX_SUBSCRIBED_URI_LEN {
            return None;
        }
        let place = self.find_place(context, uri).await.ok()?;
        let resource = (place.source.clone(), Arc::clone(&place.own));
        let (party, principal) = (listener.party, &context.principal.id);
        // Before anything is started or sent, so that subscriptions over the limit cost nothing.
        self.subscriptions
            .add(&resource, party, Via::Engine, principal)
            .ok()?;
        let progress = Progress::unheard();
        let scope = place.source.scope.clone();
        let acquired = self
            .pool
            .acquire(&place.server, &place.credential, scope, &progress);
        let accepted = match acquired.await {
            Ok(lease) => {
                let judged = AllowedBy::Item(Item::Resource(uri));
                // Starting the instance may have taken time.
                if self.judge_again(context, &lease.key, judged).await.is_err() {
                    false
                } else if speaks_modern(&lease).await {
                    // The client must receive every change after its acknowledgement.
                    let promised = self.subscriptions.promised(&place.source, &place.own);
                    let _ = tokio::time::timeout(SUBSCRIBED_TIMEOUT, promised).await;
                    true
                } else {
                    let limit = lease.spec.server.limits.call_timeout;
                    let settled = self.settled(lease.handle(), &place.own);
                    let settled = tokio::time::timeout(limit, settled).await;
                    matches!(settled, Ok(Settled::Accepted))
                }
            }
            Err(_) => false,
        };
        // The right may have been lost in the meantime, and with it the stream or this subscription.
        let is_kept = self.subscriptions.has(&resource, party) && !listener.ended.is_cancelled();
        if !(accepted && is_kept) {
            let at = (*place.own != *uri).then_some(&place.server);
            self.subscriptions.remove_uri(party, &place.own, at);
            return None;
        }
        self.accepted_by(context, &place.server, &place.own);
        Some(())
    }
}
