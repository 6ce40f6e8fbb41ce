//! The client of the control endpoint, with which the command line controls a running gateway.

mod error;
mod transport;

use std::marker::PhantomData;
use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt as _;
use mcp_orchestrator_core::outbound::Connector;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::error::ClientError;
use self::error::broken;
use self::transport::{Exchange, Location};
use super::wire::credentials::{
    Catalog, InstallRequest, InstallationText, Installations, TokenMade, TokenRequest, TokenText,
    Tokens, UninstallRequest, Uninstalled,
};
use super::wire::lists::{Prompts, Resources, Tools};
use super::wire::sign_in::{FinishRequest, SignInBegun, SignInRequest};
use super::wire::{
    CallEvent, CallRequest, Conflicts, Descriptions, ExplainRequest, Explanation, InstanceInfo,
    Instances, Line, LogRequest, Reloaded, Status, Touched,
};

/// Controls a gateway: a local one through the socket in its state directory, a remote one over HTTP with a token. Each
/// request uses a separate connection.
#[derive(Clone, Debug)]
pub struct Client {
    location: Location,
}

impl Client {
    /// Creates a client for the gateway of this state directory, which need not be running.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            location: Location::of(state_dir),
        }
    }

    /// Creates a client for the gateway at this address (`https://mcp.example.com`), with this connector and token.
    ///
    /// # Errors
    /// If the address is invalid, or a token must not be sent to it.
    pub fn at(url: &str, token: SecretString, connector: Connector) -> Result<Self, String> {
        let location = Location::at(url, token, connector)?;
        Ok(Self { location })
    }

    /// Returns the gateway's version, process and addresses.
    ///
    /// # Errors
    /// [`NotRunning`](ClientError::NotRunning) if no gateway is running, or another [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// Returns every instance, and every server without one. The gateway connects to remote servers first, unless it has
    /// done so recently; one that is down is reported as failed.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn checked_instances(&self) -> Result<Vec<InstanceInfo>, ClientError> {
        let answer: Instances = self.get("/v1/instances/checked").await?;
        Ok(answer.instances)
    }

    /// Returns every instance, and every server without one, as last known.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn instances(&self) -> Result<Vec<InstanceInfo>, ClientError> {
        let answer: Instances = self.get("/v1/instances").await?;
        Ok(answer.instances)
    }

    /// Returns the names that several servers of a gateway list, and the extensions that gateways do not announce.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn conflicts(&self) -> Result<Conflicts, ClientError> {
        self.get("/v1/conflicts").await
    }

    /// Restarts a server's instances.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server.
    pub async fn restart(&self, server: &str) -> Result<Touched, ClientError> {
        self.post(&format!("/v1/servers/{server}/restart"), &())
            .await
    }

    /// Starts an instance of a server unless one runs, and waits until it has listed its tools.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) with the reason if the server cannot be used.
    pub async fn probe(&self, server: &str) -> Result<(), ClientError> {
        self.post(&format!("/v1/servers/{server}/probe"), &()).await
    }

    /// Stops a server's instances until the next call.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server.
    pub async fn stop(&self, server: &str) -> Result<Touched, ClientError> {
        self.post(&format!("/v1/servers/{server}/stop"), &()).await
    }

    /// Streams the log of a server's instance.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server, or if it has never run.
    pub async fn logs(&self, server: &str, which: &LogRequest) -> Result<Lines<Line>, ClientError> {
        self.stream(&format!("/v1/servers/{server}/logs"), which)
            .await
    }

    /// Returns a server's tools, under the server's own names.
    ///
    /// # Errors
    /// If the list is unavailable.
    pub async fn server_tools(&self, server: &str) -> Result<Tools, ClientError> {
        self.get(&format!("/v1/servers/{server}/tools")).await
    }

    /// Returns a server's prompts, under the server's own names.
    ///
    /// # Errors
    /// If the list is unavailable.
    pub async fn server_prompts(&self, server: &str) -> Result<Prompts, ClientError> {
        self.get(&format!("/v1/servers/{server}/prompts")).await
    }

    /// Returns a server's resources and resource templates.
    ///
    /// # Errors
    /// If the list is unavailable.
    pub async fn server_resources(&self, server: &str) -> Result<Resources, ClientError> {
        self.get(&format!("/v1/servers/{server}/resources")).await
    }

    /// Returns the tools that a gateway shows.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_tools(&self, gateway: &str) -> Result<Tools, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/tools")).await
    }

    /// Returns the prompts that a gateway shows.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_prompts(&self, gateway: &str) -> Result<Prompts, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/prompts")).await
    }

    /// Returns the resources and resource templates that a gateway shows.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_resources(&self, gateway: &str) -> Result<Resources, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/resources")).await
    }

    /// Calls a tool. The last event is a result or an error; dropping the events cancels the call.
    ///
    /// # Errors
    /// If the call could not be made.
    pub async fn call(
        &self,
        server: &str,
        call: &CallRequest,
    ) -> Result<Lines<CallEvent>, ClientError> {
        self.stream(&format!("/v1/servers/{server}/call"), call)
            .await
    }

    /// Returns the route that a call would take.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn explain(&self, what: &ExplainRequest) -> Result<Explanation, ClientError> {
        self.post("/v1/explain", what).await
    }

    /// Returns details of a server's instances, or of one instance.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn describe(&self, name: &str) -> Result<Descriptions, ClientError> {
        self.get(&format!("/v1/describe/{name}")).await
    }

    /// Makes the gateway reload its configuration.
    ///
    /// # Errors
    /// If the configuration is invalid; the previous one stays in use.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post("/v1/reload", &()).await
    }

    /// Creates a token.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) if the request is invalid.
    pub async fn make_token(&self, request: &TokenRequest) -> Result<TokenMade, ClientError> {
        self.post("/v1/tokens", request).await
    }

    /// Returns all tokens.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn tokens(&self) -> Result<Tokens, ClientError> {
        self.get("/v1/tokens").await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown id.
    pub async fn revoke_token(&self, id: &str) -> Result<TokenText, ClientError> {
        let path = format!("/v1/tokens/{id}");
        let exchange = self.send(Method::DELETE, &path, Bytes::new()).await?;
        exchange.whole().await
    }

    /// Returns the servers that need credentials.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn catalog(&self) -> Result<Catalog, ClientError> {
        self.get("/v1/catalog").await
    }

    /// Returns the installed credentials.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn installations(&self) -> Result<Installations, ClientError> {
        self.get("/v1/installations").await
    }

    /// Installs a credential, or replaces the installed one.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) if the values are invalid or do not work.
    pub async fn install(&self, request: &InstallRequest) -> Result<InstallationText, ClientError> {
        self.post("/v1/installations", request).await
    }

    /// Starts an installation by sign-in.
    ///
    /// # Errors
    /// If sign-in is not possible.
    pub async fn begin_sign_in(&self, request: &SignInRequest) -> Result<SignInBegun, ClientError> {
        self.post("/v1/sign-ins", request).await
    }

    /// Finishes a sign-in with the query that the browser returned with.
    ///
    /// # Errors
    /// If nothing was installed.
    pub async fn finish_sign_in(
        &self,
        request: &FinishRequest,
    ) -> Result<InstallationText, ClientError> {
        self.post("/v1/sign-ins/finish", request).await
    }

    /// Removes an installation.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) if it does not exist.
    pub async fn uninstall(&self, request: &UninstallRequest) -> Result<Uninstalled, ClientError> {
        self.post("/v1/uninstall", request).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, Bytes::new())
            .await?
            .whole()
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        self.send(Method::POST, path, body.into())
            .await?
            .whole()
            .await
    }

    async fn stream<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Lines<T>, ClientError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        let exchange = self.send(Method::POST, path, body.into()).await?;
        Ok(Lines {
            exchange,
            buffer: BytesMut::new(),
            item: PhantomData,
        })
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Exchange, ClientError> {
        let exchange = self.location.send(method, path, body).await?;
        if exchange.response.status().is_success() {
            return Ok(exchange);
        }
        let status = exchange.response.status();
        let refusal = exchange.whole().await;
        // A proxy in front of the gateway answers with a body of another form.
        Err(refusal.map_or_else(
            |_| ClientError::Broken(format!("it answered {status}")),
            ClientError::Refused,
        ))
    }
}

/// Items of a stream, one JSON text per line. Dropping it ends the stream.
#[derive(Debug)]
pub struct Lines<T> {
    exchange: Exchange,
    buffer: BytesMut,
    item: PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Returns the next item, or `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks.
    ///
    /// # Cancel safety
    /// Dropping the future loses no data.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return serde_json::from_slice(&line).map(Some).map_err(broken);
            }
            match self.exchange.response.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(broken)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
