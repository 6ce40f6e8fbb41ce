//! Responses of the control endpoint, and the parsing of its requests.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::wire::Refusal;
use crate::errors;
use crate::request::validate;

/// The media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// An error as a response.
pub(crate) struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        json(
            errors::control_status(self.0.kind()),
            &Refusal::from(&self.0),
        )
    }
}

pub(crate) type Answer = Result<Response, Failed>;

/// Parses the server's name in the path. An invalid name is reported like a server that is not configured.
pub(crate) fn id(server: &str) -> Result<ServerId> {
    ServerId::new(server).map_err(|error| no_route(&error))
}

pub(crate) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    let body = validate::strip_mark(body.clone());
    serde_json::from_slice(&body).map_err(|error| invalid(&error))
}

pub(crate) fn invalid(text: &impl ToString) -> Error {
    Error::new(ErrorKind::InvalidParams, text.to_string())
}

pub(crate) fn no_route(text: &impl ToString) -> Error {
    Error::new(ErrorKind::NoRoute, text.to_string())
}

pub(crate) fn defect(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "the response cannot be encoded").with_source(error)
}

pub(crate) fn ok(value: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, value))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn ndjson<T: Serialize>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = items.map(|item| {
        serde_json::to_vec(&item).map(|mut line| {
            line.push(b'\n');
            line
        })
    });
    let body = Body::from_stream(lines);
    ([(CONTENT_TYPE, NDJSON)], body).into_response()
}
