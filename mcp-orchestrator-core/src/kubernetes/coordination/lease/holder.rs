//! Determines who holds a Lease, without taking part.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::Instant;

use super::election::{Election, Record, Step};
use super::{Access, Action, GROUP};
use crate::error::Result;

/// How often the Lease is read.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// After this long the current holder is reported as alive, even if its term has not passed.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Returns who holds and renews this Lease, or `None` if it has no live holder. A holder that ended without releasing
/// the Lease is recognized because the Lease does not change, which can take its whole term.
///
/// # Errors
/// If the Lease cannot be read.
pub async fn lease_holder(access: &Access, name: &str) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(access.client().clone(), access.namespace());
    let action = Action::new("get", "leases", access.namespace());
    let action = action.of(GROUP).on(name);
    let (mut election, mut first) = (Election::new(""), None);
    let end = Instant::now() + MAX_WAIT;
    loop {
        let found = leases.get_opt(name).await;
        let found = found.map_err(|error| action.error(error))?;
        let seen = found.as_ref().map(Record::of);
        election.observe(seen.clone());
        let (Step::Wait(wait), Some(seen)) = (election.next(Instant::now()), seen) else {
            return Ok(None);
        };
        if first.as_ref().is_some_and(|first| *first != seen) || Instant::now() > end {
            return Ok(Some(seen.holder().to_owned()));
        }
        first = Some(seen);
        tokio::time::sleep(wait.min(READ_INTERVAL)).await;
    }
}
