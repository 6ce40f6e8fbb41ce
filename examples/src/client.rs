//! A minimal MCP client for revision 2026-07-28: one POST per request, without a session.
//!
//! A real program would use a client library. This one shows that nothing is hidden in between.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use mcp_orchestrator_core::protocol::version::LATEST_MODERN;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;

/// A client of one endpoint.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    path: String,
    token: Option<String>,
}

impl Client {
    /// Creates a client of the endpoint at this address and path, for example `/mcp`.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            address,
            path: path.to_owned(),
            token: None,
        }
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Returns the names of the endpoint's tools.
    ///
    /// # Errors
    /// Fails if the request fails or the result contains no list.
    pub async fn tools(&self) -> Result<Vec<String>, Failure> {
        let result = self.request("tools/list", None, json!({})).await?;
        let tools = result["tools"].as_array().ok_or("no list came")?;
        Ok(tools
            .iter()
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// Calls a tool and returns the text of its result.
    ///
    /// # Errors
    /// Fails if the request fails, the response is a JSON-RPC error, or the result contains no text.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<String, Failure> {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = self.request("tools/call", Some(tool), params).await?;
        let text = result["content"][0]["text"].as_str();
        Ok(text.ok_or("the result holds no text")?.to_owned())
    }

    async fn request(
        &self,
        method: &str,
        name: Option<&str>,
        mut params: Value,
    ) -> Result<Value, Failure> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": LATEST_MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "example", "version": "1" },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = Request::post(&self.path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", LATEST_MODERN)
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let (status, answer) = self.send(request.body(body.to_string().into())?).await?;
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| format!("{status}, and the body is no JSON"))?;
        match answer.get("error") {
            Some(error) => Err(format!("{status}: {error}").into()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Sends a request over a new connection.
    ///
    /// # Errors
    /// Fails if the connection fails.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        Ok((parts.status, body.collect().await?.to_bytes()))
    }
}
