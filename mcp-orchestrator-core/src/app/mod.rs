//! A running orchestrator from settings: chooses the implementations that the settings name, connects them, and applies
//! changed settings while it runs.

mod audit;
#[cfg(feature = "jwt")]
mod authenticators;
mod build;
mod cluster;
mod conflicts;
mod first_admin;
mod oauth;
#[cfg(feature = "outbound")]
mod outbound;
mod purge;
mod restart;
mod retry;
mod secrets;
mod store;

pub use self::build::Built;
pub use self::cluster::ClusterReview;
pub use self::conflicts::GatewayConflict;
pub use self::purge::ClusterRemains;
pub use self::retry::Patience;
