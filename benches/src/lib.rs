//! What the benches share.

pub mod caller;
pub mod echo;
