//! Code shared by the benches.

pub mod caller;
pub mod echo;
