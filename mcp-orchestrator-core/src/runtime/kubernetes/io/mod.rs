//! The connections to a pod: standard streams, ports and logs.

pub(crate) mod attach;
mod lines;
pub(crate) mod logs;
pub(crate) mod port_forward;
