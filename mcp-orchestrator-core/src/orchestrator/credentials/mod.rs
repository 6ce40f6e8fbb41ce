//! Changes of credentials, and what a caller without one gets.

mod auth_required;
pub(super) mod changes;
mod connect_tool;
mod elicitation;
pub(super) mod instructions;
