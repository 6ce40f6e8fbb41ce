//! Pods of a Kubernetes cluster as instances.
//!
//! [`Access`] is the way to the cluster: which one, as whom, in which namespace. What stands here needs no more rights
//! than a Role in that namespace gives.

mod access;
mod attach;
mod choice;
mod client;
pub(crate) mod errors;
mod forward;
mod lease;
mod review;
mod state_key;
mod tls;

pub use self::access::{Access, AccessOptions};
pub use self::attach::{AttachReader, AttachWriter, attach};
pub use self::forward::connect_to;
pub use self::lease::{Held, Holder, LeaseOptions, identity};
pub use self::review::{Denied, Place, RULES, Rule, review, role, rules};
pub use self::state_key::state_key;
