//! Who holds a Lease, for one who only asks.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::Instant;

use super::turn::{Record, Turn, Turns};
use super::{Access, Action, GROUP};
use crate::error::Result;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Whose term is longer than this counts as its holder.
const LONGEST: Duration = Duration::from_secs(60);

/// Who holds this Lease, and renews it; `None` where nobody does. A holder that ended without giving it up is told from
/// one that lives by the Lease's own change: that takes as long as its term.
///
/// # Errors
/// Where it cannot be read.
pub async fn holder(access: &Access, name: &str) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(access.client().clone(), access.namespace());
    let action = Action::new("get", "leases", access.namespace());
    let action = action.of(GROUP).on(name);
    let (mut turns, mut first) = (Turns::new(""), None);
    let end = Instant::now() + LONGEST;
    loop {
        let found = leases.get_opt(name).await;
        let found = found.map_err(|error| action.error(error))?;
        let seen = found.as_ref().map(Record::of);
        turns.saw(seen.clone());
        let (Turn::Wait(wait), Some(seen)) = (turns.next(Instant::now()), seen) else {
            return Ok(None);
        };
        if first.as_ref().is_some_and(|first| *first != seen) || Instant::now() > end {
            return Ok(Some(seen.holder().to_owned()));
        }
        first = Some(seen);
        tokio::time::sleep(wait.min(LOOK)).await;
    }
}
