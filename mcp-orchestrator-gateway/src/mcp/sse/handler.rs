//! Requests of HTTP+SSE clients: who sends them, and to which stream they belong.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::ORIGIN;
use http::request::Parts;
use http::{Method, StatusCode};
use mcp_orchestrator_core::auth::PublicUrl;
use mcp_orchestrator_core::call::{Call, CallEra, Notify};
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::jsonrpc::{Kind, Message};
use mcp_orchestrator_core::protocol::{Era, method};
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::no_stream;
use crate::errors;
use crate::mcp::handler::Gate;
use crate::mcp::invalid::not_a_message;
use crate::mcp::{bodies, respond};
use crate::request::head::Head;
use crate::request::readdress::to_gateway;
use crate::request::{cors, protected_resource, validate};

/// The address that takes messages, without the name of their stream.
pub(crate) const MESSAGES: &str = "/messages";

impl Gate {
    /// Answers a request to `/sse` or `/sse/{gateway}`.
    pub(crate) async fn sse(&self, gateway: GatewayId, parts: &Parts) -> Response {
        let answer = match validate::origin(&Head::of(parts), &self.options) {
            Err(error) => return errors::response(&error, None, Era::Legacy),
            Ok(()) => match parts.method {
                Method::OPTIONS => Ok(cors::options(parts)),
                Method::GET => self.open(&gateway, parts).await,
                // Clients of streamable HTTP try a POST first, and fall back to this transport at 405.
                _ => Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
            },
        };
        self.finished(answer, parts, &gateway)
    }

    async fn open(&self, gateway: &GatewayId, parts: &Parts) -> Result<Response> {
        let asked = to_gateway(parts, gateway);
        let who = self.who(gateway, &Head::of(&asked)).await?;
        if !validate::accepts(parts, "text/event-stream") {
            return Ok(errors::status(StatusCode::NOT_ACCEPTABLE));
        }
        let prefix = self
            .options
            .public_url
            .as_ref()
            .map_or("", PublicUrl::prefix);
        let messages = format!("{prefix}{MESSAGES}");
        let principal = Arc::clone(&who.principal);
        let grant = self
            .admission
            .grant(&asked, gateway, (&principal, who.expires_at));
        let response = self.admission.sse.open(
            &self.orchestrator,
            (who.principal, gateway.clone(), grant),
            (&messages, self.options.keep_alive),
        )?;
        Ok(self.held(response, (gateway, &Head::of(&asked)), &principal))
    }

    /// Answers a request to the address that takes the messages of a stream.
    pub(crate) async fn sse_message<B>(&self, id: &str, parts: &Parts, body: B) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        if let Err(error) = validate::origin(&Head::of(parts), &self.options) {
            return errors::response(&error, None, Era::Legacy);
        }
        let answer = match parts.method {
            Method::OPTIONS => Ok(cors::options(parts)),
            Method::POST => self.take(id, parts, body).await,
            _ => Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
        };
        self.finished(answer, parts, &self.default)
    }

    async fn take<B>(&self, id: &str, parts: &Parts, body: B) -> Result<Response>
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        // Authenticate the sender even without a stream, so that the response does not reveal which streams exist.
        let channel = self.admission.sse.find(id);
        let gateway = channel
            .as_ref()
            .map_or(&self.default, |channel| &channel.gateway);
        let mut seen = self.admission.count();
        let mut who = self
            .who(gateway, &Head::of(&to_gateway(parts, gateway)))
            .await?;
        let channel = channel
            .filter(|channel| channel.principal.id == who.principal.id)
            .filter(|channel| channel.principal.kind == who.principal.kind)
            .ok_or_else(no_stream)?;
        let head = Head::of(parts);
        validate::encoding(&head)?;
        validate::is_json(&head)?;
        let mut reservation = self.admission.bodies.reservation(&who.principal);
        let limit = self.options.max_body_bytes;
        let body = bodies::read(parts, body, limit, Some(&mut reservation)).await?;
        drop(reservation);
        if self.admission.count() != seen {
            // A body may take its time.
            seen = self.admission.count();
            who = self
                .who_now(
                    &channel.gateway,
                    &Head::of(&to_gateway(parts, &channel.gateway)),
                )
                .await?;
        }
        let message = Message::parse(validate::strip_mark(body)).map_err(not_a_message)?;
        let session = channel.session();
        let sent = self.sent(&channel, to_gateway(parts, &channel.gateway), &who, seen);
        if let Some(session) = &session {
            sent.bind(session);
        }
        if message.kind() != Kind::Request {
            let text = "the session has not begun: send initialize first";
            let missing = || Error::new(ErrorKind::InvalidRequest, text);
            let notify = Notify {
                principal: who.principal,
                gateway: channel.gateway.clone(),
                era: CallEra::Legacy(Some(session.ok_or_else(missing)?)),
                message,
            };
            self.orchestrator.notify(notify).await?;
            return Ok(respond::accepted());
        }
        let id = message.id().unwrap_or("null").to_owned();
        let call = Call {
            principal: who.principal,
            gateway: channel.gateway.clone(),
            era: CallEra::Legacy(session.filter(|_| message.method() != method::INITIALIZE)),
            message,
            headers: http::HeaderMap::new(),
            token: who.token,
        };
        channel.answer((id, sent.call(call).boxed()))?;
        Ok(respond::accepted())
    }

    fn finished(&self, answer: Result<Response>, parts: &Parts, gateway: &GatewayId) -> Response {
        let mut response = answer.unwrap_or_else(|error| {
            let mut response = errors::response(&error, None, Era::Legacy);
            protected_resource::challenge(&mut response, &error, (&self.options, parts, gateway));
            response
        });
        cors::allow(parts.headers.get(ORIGIN), &mut response);
        response
    }
}
