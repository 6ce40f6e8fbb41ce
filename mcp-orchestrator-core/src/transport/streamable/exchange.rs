//! A response on its way: its head, and its body by parts.

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::pool::Lease;
use crate::error::{Error, ErrorKind, Result};

/// A response whose body is not read yet.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) head: Parts,
    body: Incoming,
    lease: Option<Lease>,
}

impl Exchange {
    pub(super) fn new(response: http::Response<Incoming>, lease: Lease) -> Self {
        let (head, body) = response.into_parts();
        Self {
            head,
            body,
            lease: Some(lease),
        }
    }

    /// Whether the body is of this media type.
    pub(super) fn is(&self, media_type: &str) -> bool {
        let found = self
            .head
            .headers
            .get(http::header::CONTENT_TYPE)
            .map(http::HeaderValue::as_bytes);
        found.is_some_and(|found| {
            found
                .get(..media_type.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(media_type.as_bytes()))
        })
    }

    /// The next part of the body; `None` at its end, where the connection is given back.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the response broke off").with_source(error)
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        Ok(None)
    }

    /// The whole body.
    pub(super) async fn whole(&mut self, limit: usize) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > limit {
                let text = format!("the response is larger than {limit} bytes");
                return Err(Error::new(ErrorKind::Protocol, text));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads what is left, so that the connection can be used again; gives up where it is much.
    pub(super) async fn drain(mut self) {
        for _ in 0..16 {
            if !matches!(self.chunk().await, Ok(Some(_))) {
                return;
            }
        }
    }
}
