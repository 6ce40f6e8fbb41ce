//! The other side of the control endpoint: what the command line speaks with a running gateway by.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt as _;
use mcp_orchestrator_core::outbound::Connector;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::place::{Exchange, Place};
use super::wire::{
    CallEvent, CallRequest, ConflictInfo, Conflicts, Descriptions, ExplainRequest, Explanation,
    InstanceInfo, Instances, Line, LogRequest, Refusal, Reloaded, Status, Touched,
};
use super::wire_lists::{Prompts, Resources, Tools};
use super::wire_people::{
    Catalog, InstallRequest, InstallationText, Installations, TokenMade, TokenRequest, TokenText,
    Tokens, UninstallRequest, Uninstalled,
};
use super::wire_sign_in::{FinishRequest, SignInBegun, SignInRequest};

/// Speaks with a gateway: with that of a state directory by its socket, with one elsewhere by HTTP and a token. Each
/// request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
}

/// Why a gateway did not do what it was asked.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers there.
    NotRunning(String),
    /// It said no.
    Refused(Refusal),
    /// It was understood by neither side, or the connection broke.
    Broken(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(place) => write!(f, "no gateway answers at {place}"),
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Broken(why) => write!(f, "the gateway's answer is of no use: {why}"),
        }
    }
}

impl std::error::Error for ClientError {}

pub(super) fn broken(error: impl fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

impl Client {
    /// The gateway that holds this state directory, running or not.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            place: Place::of(state_dir),
        }
    }

    /// The gateway at an address (`https://mcp.example.com`), reached with this connector and called with this token.
    ///
    /// # Errors
    /// Why it is no address, or may not be shown a token.
    pub fn at(url: &str, token: SecretString, connector: Connector) -> Result<Self, String> {
        let place = Place::at(url, token, connector)?;
        Ok(Self { place })
    }

    /// That it runs, and how.
    ///
    /// # Errors
    /// [`NotRunning`](ClientError::NotRunning) and the others.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// Every instance, and every server without one.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn instances(&self) -> Result<Vec<InstanceInfo>, ClientError> {
        let answer: Instances = self.get("/v1/instances").await?;
        Ok(answer.instances)
    }

    /// Names that several servers of a gateway list.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn conflicts(&self) -> Result<Vec<ConflictInfo>, ClientError> {
        let answer: Conflicts = self.get("/v1/conflicts").await?;
        Ok(answer.conflicts)
    }

    /// Starts a server's instances anew.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server.
    pub async fn restart(&self, server: &str) -> Result<Touched, ClientError> {
        self.post(&format!("/v1/servers/{server}/restart"), &())
            .await
    }

    /// Puts a server's instances to rest until the next call.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server.
    pub async fn stop(&self, server: &str) -> Result<Touched, ClientError> {
        self.post(&format!("/v1/servers/{server}/stop"), &()).await
    }

    /// The log of a server's instance.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown server, and where nothing has run.
    pub async fn logs(&self, server: &str, which: &LogRequest) -> Result<Lines<Line>, ClientError> {
        self.stream(&format!("/v1/servers/{server}/logs"), which)
            .await
    }

    /// A server's tools, as it names them.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn server_tools(&self, server: &str) -> Result<Tools, ClientError> {
        self.get(&format!("/v1/servers/{server}/tools")).await
    }

    /// A server's prompts, as it names them.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn server_prompts(&self, server: &str) -> Result<Prompts, ClientError> {
        self.get(&format!("/v1/servers/{server}/prompts")).await
    }

    /// A server's resources and their templates.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn server_resources(&self, server: &str) -> Result<Resources, ClientError> {
        self.get(&format!("/v1/servers/{server}/resources")).await
    }

    /// The tools that a gateway shows.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_tools(&self, gateway: &str) -> Result<Tools, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/tools")).await
    }

    /// The prompts that a gateway shows.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_prompts(&self, gateway: &str) -> Result<Prompts, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/prompts")).await
    }

    /// The resources that a gateway shows, and their templates.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown gateway.
    pub async fn gateway_resources(&self, gateway: &str) -> Result<Resources, ClientError> {
        self.get(&format!("/v1/gateways/{gateway}/resources")).await
    }

    /// Calls a tool. The last event is a result or an error; dropping the events cancels the call.
    ///
    /// # Errors
    /// Where the call could not be made.
    pub async fn call(
        &self,
        server: &str,
        call: &CallRequest,
    ) -> Result<Lines<CallEvent>, ClientError> {
        self.stream(&format!("/v1/servers/{server}/call"), call)
            .await
    }

    /// Which route a call would take.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn explain(&self, what: &ExplainRequest) -> Result<Explanation, ClientError> {
        self.post("/v1/explain", what).await
    }

    /// What is known of a server's instances, or of one.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn describe(&self, name: &str) -> Result<Descriptions, ClientError> {
        self.get(&format!("/v1/describe/{name}")).await
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// What is wrong with it; then the one before goes on.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post("/v1/reload", &()).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) where the request does not hold.
    pub async fn make_token(&self, request: &TokenRequest) -> Result<TokenMade, ClientError> {
        self.post("/v1/tokens", request).await
    }

    /// All tokens.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn tokens(&self) -> Result<Tokens, ClientError> {
        self.get("/v1/tokens").await
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) for an unknown id.
    pub async fn revoke_token(&self, id: &str) -> Result<TokenText, ClientError> {
        let path = format!("/v1/tokens/{id}");
        let exchange = self.send(Method::DELETE, &path, Bytes::new()).await?;
        exchange.whole().await
    }

    /// The servers that need something.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn catalog(&self) -> Result<Catalog, ClientError> {
        self.get("/v1/catalog").await
    }

    /// What is installed.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn installations(&self) -> Result<Installations, ClientError> {
        self.get("/v1/installations").await
    }

    /// Installs a credential, or puts it in the place of the one before.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) where it does not fit, or does not work.
    pub async fn install(&self, request: &InstallRequest) -> Result<InstallationText, ClientError> {
        self.post("/v1/installations", request).await
    }

    /// Begins an installation by signing in.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn begin_sign_in(&self, request: &SignInRequest) -> Result<SignInBegun, ClientError> {
        self.post("/v1/sign-ins", request).await
    }

    /// Ends it with what the browser brought back.
    ///
    /// # Errors
    /// Why nothing is installed.
    pub async fn finish_sign_in(
        &self,
        request: &FinishRequest,
    ) -> Result<InstallationText, ClientError> {
        self.post("/v1/sign-ins/finish", request).await
    }

    /// Removes an installation.
    ///
    /// # Errors
    /// [`Refused`](ClientError::Refused) where there is none.
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
        let exchange = self.place.send(method, path, body).await?;
        if exchange.response.status().is_success() {
            return Ok(exchange);
        }
        let status = exchange.response.status();
        let refusal = exchange.whole().await;
        // What stands before the gateway, as a proxy, refuses in words of its own.
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
    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// Where the connection breaks.
    ///
    /// # Cancel safety
    /// Nothing is lost where the future is dropped.
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
