//! Pods of a Kubernetes cluster as instances.
//!
//! [`Access`] is the way to the cluster: which one, as whom, in which namespace. What stands here needs no more rights
//! than a Role in that namespace gives.

mod access;
mod choice;
mod client;
mod errors;
mod forward;
mod review;
mod tls;

pub use self::access::{Access, AccessOptions};
pub use self::forward::connect_to;
pub use self::review::{Denied, Place, RULES, Rule, review, role, rules};
