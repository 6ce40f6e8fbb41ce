//! Detects which of the two HTTP transports a server supports, by the protocol's rule for backwards compatibility: the
//! first request of a handshake is posted; if it is rejected with 4xx (or 501, as by servers without POST there), a GET shows whether the server offers HTTP+SSE.

use http::StatusCode;

use super::Http;
use super::conversation::SESSION_ID;
use super::legacy_sse::OpenedSse;
use super::modern;
use super::request::connections::Repeat;
use super::request::exchange::Exchange;
use super::request::headers::{Lines, Verb};
use crate::error::Result;
use crate::jsonrpc::{Message, request};
use crate::limits::FIRST_EVENT_TIMEOUT;
use crate::protocol::method;
use crate::server::EraChoice;
use crate::transport::handshake::{self, Profile};

impl Http {
    /// Opens the stream of a server that supports HTTP+SSE but not streamable HTTP. The caller must use this stream: a
    /// server that supports a single stream would take another one for a disconnect.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub(crate) async fn only_sse(&self, era: EraChoice) -> Result<Option<OpenedSse>> {
        let id = self.ids.take();
        let profile = Profile::plain();
        let none = Lines::default();
        // A server of the modern era may reject or record a first request that no client of that era sends.
        let (body, lines) = if era == EraChoice::Legacy {
            let params = handshake::initialize_params(&profile);
            let body = request(id.as_str(), method::INITIALIZE, Some(&params));
            (body, none.clone())
        } else {
            let params = handshake::discover_params(&profile);
            let body = request(id.as_str(), method::DISCOVER, Some(&params));
            (body, modern::headers(method::DISCOVER, None))
        };
        let posted = self
            .exchange(Verb::Post, &body, &lines, (Repeat::Harmless, None))
            .await?;
        let status = posted.head.status;
        // 401 and 403 mean that another caller could be accepted, 429 that a later request could.
        let rejected = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
        if !rejected || matches!(status.as_u16(), 401 | 403 | 429) {
            self.end_probe(posted).await;
            return Ok(None);
        }
        let is_json = posted.is_json();
        let said = posted.explanation().await;
        if is_json && Message::received_all(&said).is_ok() {
            return Ok(None);
        }
        let opened = self
            .exchange(Verb::Get, &[], &none, (Repeat::Harmless, None))
            .await?;
        if !opened.head.status.is_success() || !opened.is_events() {
            opened.drain().await;
            return Ok(None);
        }
        let begun = OpenedSse::begin(opened, self.message_bytes);
        Ok(tokio::time::timeout(FIRST_EVENT_TIMEOUT, begun)
            .await
            .unwrap_or_default())
    }

    /// Ends the session that the probe opened.
    async fn end_probe(&self, posted: Exchange) {
        let session = posted.head.field(&SESSION_ID);
        let is_json = posted.is_json();
        if is_json {
            posted.drain().await;
        }
        let Some(session) = session else { return };
        let mut lines = Lines::default();
        lines.push(&SESSION_ID, &session);
        let deleted = self.exchange(Verb::Delete, &[], &lines, (Repeat::Harmless, None));
        if let Ok(exchange) = deleted.await {
            exchange.drain().await;
        }
    }
}
