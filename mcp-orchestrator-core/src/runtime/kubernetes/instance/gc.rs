//! Garbage-collects what an interrupted start or removal leaves behind: a Secret, NetworkPolicy or Service without a
//! Deployment. Runs when this process begins to act and periodically afterwards, and deletes by UID.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::api::ListParams;
use tokio::time::Instant;

use super::label_repair::page_len;
use crate::error::Result;
use crate::limits::MAX_LEFT_BEHIND;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{INSTANCE, selector};
use crate::runtime::kubernetes::shared::Shared;

/// Younger objects may belong to a start that is still in progress.
const MIN_AGE: Duration = Duration::from_secs(60);
/// Time between two sweeps if the last one left nothing to check again.
const GC_INTERVAL: Duration = Duration::from_mins(5);
/// Delay before a failed sweep is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Objects without a Deployment, by UID, and when this process first saw them so: the cluster's clock may differ from
/// ours.
type Candidates = HashMap<String, Instant>;

/// Sweeps once all Deployments are known, again when objects that were too young are old enough, and periodically.
pub(crate) fn begin(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let closing = shared.closing.clone();
        let collecting = async {
            shared.store.synced().await;
            let mut candidates = Candidates::new();
            let mut failed = false;
            loop {
                let wait = match collect_all(&shared, &mut candidates).await {
                    Ok(()) if candidates.is_empty() => GC_INTERVAL,
                    Ok(()) => MIN_AGE,
                    Err(error) => {
                        if !std::mem::replace(&mut failed, true) {
                            tracing::warn!(%error, "cannot look for what was left behind in the cluster; it is tried again");
                        }
                        tokio::time::sleep(RETRY_INTERVAL).await;
                        continue;
                    }
                };
                failed = false;
                tokio::time::sleep(wait).await;
            }
        };
        closing.run_until_cancelled(collecting).await;
    });
}

async fn collect_all(shared: &Shared, candidates: &mut Candidates) -> Result<()> {
    shared.writer.wait_until_held().await?;
    shared.restore_labels().await?;
    let before = std::mem::take(candidates);
    for kind in [Kind::Secret, Kind::NetworkPolicy, Kind::Service] {
        collect(shared, kind, &before, candidates).await?;
    }
    Ok(())
}

async fn collect(
    shared: &Shared,
    kind: Kind,
    before: &Candidates,
    candidates: &mut Candidates,
) -> Result<()> {
    let own = selector(&shared.options.orchestrator);
    let mut params = ListParams::default().labels(&own).limit(page_len());
    loop {
        let listed = shared.writer.api(kind).list_metadata(&params).await;
        let listed = listed.map_err(|error| shared.writer.action("list", kind).error(error))?;
        let deployed = shared.store.deployed();
        for object in &listed.items {
            let meta = &object.metadata;
            let (Some(name), Some(uid)) = (&meta.name, &meta.uid) else {
                continue;
            };
            let instance = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
            // The task that currently starts or stops the instance takes care of it.
            let busy = |name: &String| {
                let tracked = shared.tracked.find(name);
                tracked.is_some_and(|tracked| tracked.lifecycle.try_lock().is_err())
            };
            let wanted = instance.is_none_or(|name| deployed.contains(name) || busy(name));
            let age = meta.creation_timestamp.as_ref().and_then(|time| {
                SystemTime::now()
                    .duration_since(SystemTime::from(time.0))
                    .ok()
            });
            if wanted {
                continue;
            }
            let known = before.get(uid).copied();
            if age.is_some_and(|age| age > MIN_AGE)
                || known.is_some_and(|since| since.elapsed() >= MIN_AGE)
            {
                tracing::info!(?kind, name, "deleting what was left behind");
                shared.writer.delete(kind, name, Some(uid)).await?;
            } else if candidates.len() < MAX_LEFT_BEHIND {
                candidates.insert(uid.clone(), known.unwrap_or_else(Instant::now));
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
