//! Rewrites instances whose owner was deleted or replaced.

use std::sync::Arc;

use crate::runtime::kubernetes::observe::objects::ObservedDeployment;
use crate::runtime::kubernetes::shared::Shared;

impl Shared {
    /// Re-examines all instances when the owner's UID changes: running ones are rewritten with the new owner, so that
    /// they are not garbage-collected with the previous one.
    pub(crate) fn follow_owner(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let mut uids = shared.owner.uids();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    changed = uids.changed() => if changed.is_err() { return },
                    () = shared.closing.cancelled() => return,
                }
                shared.reconcile_all();
            }
        });
    }

    /// Returns `true` if a Deployment belongs to another owner than the current one.
    pub(crate) fn has_other_owner(&self, deployment: &ObservedDeployment) -> bool {
        let now = self.owner.uid();
        now.is_some_and(|now| !deployment.owners.contains(&now))
    }
}
