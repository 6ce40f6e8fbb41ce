//! Access to a Kubernetes cluster, and the coordination of processes in it.
//!
//! The backend that runs pods, the credential store and the state store of a cluster are built on this module.
//! `runtime::kubernetes` re-exports its public types.

pub(crate) mod client;
mod coordination;
pub(crate) mod names;
#[cfg(test)]
pub(crate) mod tests;

pub use self::client::access::Access;
pub use self::client::access_review::{Denied, Place, RULES, Rule, review, role, rules};
pub use self::client::infer::AccessOptions;
pub use self::coordination::bootstrap_secret::BootstrapSecret;
pub use self::coordination::lease::{
    LeaderElector, LeaseOptions, LeaseStatus, identity, lease_holder,
};
pub use self::coordination::membership::Membership;
pub use self::coordination::owner::Owner;
pub use self::coordination::purge::{LeftoverObject, delete, leftovers};
pub use self::coordination::state_key::state_key;
