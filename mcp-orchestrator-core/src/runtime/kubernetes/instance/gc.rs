//! Garbage-collects what an interrupted start or removal leaves behind: a Secret, NetworkPolicy or Service without a
//! Deployment. Runs when this process begins to act and periodically afterwards, and deletes by UID.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::api::ListParams;
use tokio::time::Instant;

use super::orphans::page_len;
use crate::error::Result;
use crate::limits::MAX_LEFT_BEHIND;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{INSTANCE, selector};
use crate::runtime::kubernetes::shared::Shared;

/// Younger objects may belong to a start that is still in progress.
const YOUNG: Duration = Duration::from_secs(60);
/// Time between two sweeps if the last one left nothing to check again.
const SWEEP_INTERVAL: Duration = Duration::from_mins(5);
/// Delay before a failed sweep is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Objects without a Deployment, by UID, and when this process first saw them so: the cluster's clock may differ from
/// ours.
type Unwanted = HashMap<String, Instant>;

/// Sweeps once all Deployments are known, again when objects that were too young are old enough, and periodically.
pub(crate) fn begin(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let closing = shared.closing.clone();
        let sweeping = async {
            shared.store.synced().await;
            let mut unwanted = Unwanted::new();
            let mut failed = false;
            loop {
                let wait = match sweep_all(&shared, &mut unwanted).await {
                    Ok(()) if unwanted.is_empty() => SWEEP_INTERVAL,
                    Ok(()) => YOUNG,
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
        closing.run_until_cancelled(sweeping).await;
    });
}

async fn sweep_all(shared: &Shared, unwanted: &mut Unwanted) -> Result<()> {
    shared.writes.wait_until_held().await?;
    shared.find_strays().await?;
    let before = std::mem::take(unwanted);
    for kind in [Kind::Secret, Kind::NetworkPolicy, Kind::Service] {
        sweep(shared, kind, &before, unwanted).await?;
    }
    Ok(())
}

async fn sweep(
    shared: &Shared,
    kind: Kind,
    before: &Unwanted,
    unwanted: &mut Unwanted,
) -> Result<()> {
    let own = selector(&shared.options.orchestrator);
    let mut params = ListParams::default().labels(&own).limit(page_len());
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
            // The task that currently starts or stops the instance takes care of it.
            let busy = |name: &String| {
                let run = shared.runs.find(name);
                run.is_some_and(|run| run.life.try_lock().is_err())
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
            if age.is_some_and(|age| age > YOUNG)
                || known.is_some_and(|since| since.elapsed() >= YOUNG)
            {
                tracing::info!(?kind, name, "deleting what was left behind");
                shared.writes.delete(kind, name, Some(uid)).await?;
            } else if unwanted.len() < MAX_LEFT_BEHIND {
                unwanted.insert(uid.clone(), known.unwrap_or_else(Instant::now));
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
