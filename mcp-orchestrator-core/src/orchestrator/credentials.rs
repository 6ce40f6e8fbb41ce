//! Hears of credentials that were rotated or removed.

use std::sync::Weak;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::Inner;
use crate::catalog::Changed;
use crate::credential::CredentialChange;

/// Passes each change on, until the pool closes.
pub(super) async fn hear(inner: Weak<Inner>, mut changes: BoxStream<'static, CredentialChange>) {
    let Some(closing) = inner.upgrade().map(|inner| inner.pool.closing().clone()) else {
        return;
    };
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = closing.cancelled() => return,
        };
        let (Some(change), Some(inner)) = (change, inner.upgrade()) else {
            return;
        };
        inner.credential_changed(&change);
    }
}

impl Inner {
    fn credential_changed(&self, change: &CredentialChange) {
        if change.now.is_none() {
            self.catalog.forget(&change.server, &change.owner);
        }
        self.pool.credential_changed(change);
        // Who may use it sees other lists now.
        let all = Changed {
            tools: true,
            prompts: true,
            resources: true,
        };
        self.lists_changed(&change.server, all);
    }
}
