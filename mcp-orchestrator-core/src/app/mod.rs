//! A running orchestrator from settings: chooses the implementations that the settings name, connects them, and applies
//! changed settings while it runs.

mod audit;
#[cfg(feature = "jwt")]
mod authenticators;
mod build;
mod built;
mod cluster;
mod conflicts;
mod credentials;
mod first_admin;
mod oauth;
#[cfg(feature = "outbound")]
mod outbound;
mod purge;
mod restart;
mod retry;
mod store;

#[cfg(feature = "jwt")]
pub use self::authenticators::Authenticators;
pub use self::build::Backends;
pub use self::built::Built;
pub use self::cluster::ClusterReview;
pub use self::conflicts::{Findings, GatewayConflict, GatewayExtension};
pub use self::purge::ClusterLeftovers;
pub use self::retry::WhenUnavailable;
