//! Commands for tokens and installed credentials.

pub(super) mod install;
mod sign_in;
pub(super) mod token;
