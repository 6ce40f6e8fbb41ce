//! The observed state of the cluster: watches fill a store, from which the status of an instance is derived.

pub(crate) mod dependents;
pub(crate) mod diagnose;
pub(crate) mod objects;
pub(crate) mod status;
pub(crate) mod status_events;
pub(crate) mod store;
pub(crate) mod watches;
