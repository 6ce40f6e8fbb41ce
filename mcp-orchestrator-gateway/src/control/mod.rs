//! The control endpoint: operations on a running gateway, as JSON over HTTP.
//!
//! It has three independent parts: [`wire`] defines the messages, `handlers` answer them with the orchestrator's
//! control methods, and `socket` serves them on a Unix socket that only this user can open. [`Client`] is the client.
//! `docs/cli.md` lists the requests.

mod client;
mod handlers;
mod listener;
mod socket;
pub mod wire;

use std::sync::{Arc, Weak};

use mcp_orchestrator_core::app::Built;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::config::LoadOptions;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId};
use std::path::PathBuf;

use crate::program::live_routes::Live;
use crate::program::reload_turns::ReloadTurns;
use crate::rate_limit::SignInRate;

pub use self::client::{Client, ClientError, Lines};
pub use self::handlers::call::events as call_events;
pub(crate) use self::handlers::router;
pub(crate) use self::listener::web_router;
pub(crate) use self::socket::Socket;

/// The dependencies of the handlers.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) built: Arc<Built>,
    /// The principal of calls and explanations without a named principal.
    pub(crate) principal: Arc<Principal>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) options: LoadOptions,
    pub(crate) reloads: Arc<ReloadTurns>,
    /// The part of the status that does not change at run time.
    pub(crate) about: wire::Status,
    /// The state of the listener; gone after it has ended.
    pub(crate) live: Weak<Live>,
    /// The rate of sign-ins per principal.
    pub(crate) sign_ins: Arc<SignInRate<PrincipalId>>,
}

impl Control {
    /// Returns the gateway's name and address.
    fn gateway(&self, id: &GatewayId) -> wire::GatewayInfo {
        let live = self.live.upgrade();
        let url = match live.and_then(|live| live.public_url()) {
            Some(url) => url.gateway(id),
            None if *id == GatewayId::default_gateway() => {
                format!("http://{}/mcp", self.about.listen)
            }
            None => format!("http://{}/mcp/{id}", self.about.listen),
        };
        wire::GatewayInfo {
            name: id.to_string(),
            url,
        }
    }
}
