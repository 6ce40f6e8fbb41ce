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

use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use mcp_orchestrator_core::app::{Authenticators, Built};
use mcp_orchestrator_core::auth::{Principal, PublicUrl};
use mcp_orchestrator_core::config::{Notice, Problems};
use mcp_orchestrator_core::id::{GatewayId, PrincipalId};

use crate::rate_limit::SignInRate;

pub use self::client::{Client, ClientError, Lines};
pub use self::handlers::call::events as call_events;
pub(crate) use self::handlers::router;
pub(crate) use self::listener::web_router;
pub(crate) use self::socket::Socket;

/// The program that runs the gateway.
#[async_trait]
pub(crate) trait Program: fmt::Debug + Send + Sync {
    /// Returns the address under which clients reach the gateway, if it is configured.
    fn public_url(&self) -> Option<Arc<PublicUrl>>;

    /// Returns the current authenticators, unless the gateway is ending.
    fn authenticators(&self) -> Option<Arc<Authenticators>>;

    /// Reads the configuration files again and applies the differences.
    ///
    /// # Errors
    /// If the configuration is invalid; the previous one stays in use.
    async fn reload(&self) -> Result<Vec<Notice>, Problems>;
}

/// The dependencies of the handlers.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) built: Arc<Built>,
    /// The principal of calls and explanations without a named principal.
    pub(crate) principal: Arc<Principal>,
    /// The part of the status that does not change at run time.
    pub(crate) about: wire::Status,
    /// The program that runs the gateway; gone after it has ended.
    pub(crate) program: Weak<dyn Program>,
    /// The rate of sign-ins per principal.
    pub(crate) sign_ins: Arc<SignInRate<PrincipalId>>,
}

impl Control {
    fn authenticators(&self) -> Option<Arc<Authenticators>> {
        self.program.upgrade()?.authenticators()
    }

    /// Returns the gateway's name and address.
    fn gateway(&self, id: &GatewayId) -> wire::GatewayInfo {
        let program = self.program.upgrade();
        let url = match program.and_then(|program| program.public_url()) {
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
