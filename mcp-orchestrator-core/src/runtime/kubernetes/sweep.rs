//! Objects that a start or a removal has left behind when it was cut off: a Secret, a policy, a Service without their
//! Deployment. They are looked for once, when we begin to act, and deleted by their uid.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::api::ListParams;

use super::Shared;
use super::names::{INSTANCE, selector};
use super::writes::Kind;
use crate::error::Result;

/// What is younger may belong to a start that goes on.
const YOUNG: Duration = Duration::from_secs(60);
/// Objects of one answer.
const PAGE: u32 = 500;

/// Looks once, when all Deployments are known.
pub(super) fn begin(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = shared.store.synced() => {}
            () = shared.closing.cancelled() => return,
        }
        for kind in [Kind::Secret, Kind::NetworkPolicy, Kind::Service] {
            let swept = tokio::select! {
                swept = sweep(&shared, kind) => swept,
                () = shared.closing.cancelled() => return,
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "what was left behind in the cluster was not looked for");
            }
        }
    });
}

async fn sweep(shared: &Shared, kind: Kind) -> Result<()> {
    shared.writes.wait_until_held().await?;
    let own = selector(&shared.options.orchestrator);
    let mut params = ListParams::default().labels(&own).limit(PAGE);
    loop {
        let listed = shared.writes.api(kind).list_metadata(&params).await;
        let listed = listed.map_err(|error| shared.writes.action("list", kind).error(error))?;
        let deployed = shared.store.deployed();
        for object in &listed.items {
            let meta = &object.metadata;
            let (Some(name), Some(uid)) = (&meta.name, &meta.uid) else {
                continue;
            };
            let instance = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
            let wanted = instance
                .is_none_or(|name| deployed.contains(name) || shared.runs.find(name).is_some());
            let age = meta.creation_timestamp.as_ref().and_then(|time| {
                SystemTime::now()
                    .duration_since(SystemTime::from(time.0))
                    .ok()
            });
            if !wanted && age.is_some_and(|age| age > YOUNG) {
                tracing::info!(?kind, name, "deleting what was left behind");
                shared.writes.delete(kind, name, Some(uid)).await?;
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
