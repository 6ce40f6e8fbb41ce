//! Requests of clients, from their arrival to their reply.

pub(super) mod begin;
mod completion;
mod dispatch;
pub(super) mod extensions;
mod fixed_arguments;
mod initialize;
mod log_level;
mod reply_hooks;
mod request;
mod session_call;
mod skills;
