//! Commands that show or control what a gateway runs.

pub(super) mod call;
pub(super) mod describe;
pub(super) mod lists;
pub(super) mod logs;
pub(super) mod ps;
pub(super) mod reload;
pub(super) mod restart;
pub(super) mod stop;
