//! A response in progress: its head, and its body in parts.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_ENCODING;

use super::connections::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Full, MessageMemory, Share};
use crate::limits::{MAX_REFUSAL_BODY, REFUSAL_TIMEOUT};
use crate::transport::http1::{Body, Broken, Coding, Decoded, Decoder, Head, Media};

/// When a call may be repeated that failed because of the memory for its server's messages.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A response with an unread body. Dropping it closes the connection; [`release`](Self::release) keeps it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) head: Head,
    body: Body,
    lease: Option<Lease>,
    decoder: Option<Box<Decoder>>,
}

/// Returns `true` if the status is a redirect that names another location.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Exchange {
    pub(crate) fn new(head: Head, lease: Lease) -> Self {
        let decoder = match head.coding {
            Coding::Identity => None,
            coding => Decoder::new(coding).map(Box::new),
        };
        Self {
            body: head.body.clone(),
            head,
            lease: Some(lease),
            decoder,
        }
    }

    /// Returns `true` if the body is an event stream.
    pub(crate) fn is_events(&self) -> bool {
        self.head.media == Media::Events
    }

    /// Returns `true` if the body is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.head.media == Media::Json
    }

    /// Returns the next part of the body, decoded, or `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match self.head.coding {
            Coding::Identity => self.raw().await,
            Coding::Gzip | Coding::Deflate => self.decoded().await,
            Coding::Other => Err(self.unknown_coding()),
        }
    }

    async fn raw(&mut self) -> Result<Option<Bytes>> {
        let Some(lease) = &mut self.lease else {
            return Ok(None);
        };
        let part = lease.connection.part(&mut self.body).await;
        part.map_err(broken_off)
    }

    async fn decoded(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(decoder) = &mut self.decoder else {
                return Ok(None);
            };
            match decoder.next().map_err(broken_off)? {
                Decoded::Data(data) => {
                    // One read can yield a thousand such parts, so give other tasks a turn.
                    tokio::task::consume_budget().await;
                    return Ok(Some(data));
                }
                Decoded::End => return self.raw_end().await,
                Decoded::Hungry => {}
            }
            let part = self.raw().await?;
            if let Some(decoder) = &mut self.decoder {
                decoder.push(part);
            }
        }
    }

    /// Reads the end of the framing after the compressed data. The connection is closed if more data follows.
    async fn raw_end(&mut self) -> Result<Option<Bytes>> {
        self.decoder = None;
        if !self.body.is_done() && self.raw().await?.is_some() {
            self.lease = None;
        }
        Ok(None)
    }

    fn unknown_coding(&self) -> Error {
        let coding = self.head.field(&CONTENT_ENCODING);
        let coding = coding.as_ref().and_then(|coding| coding.to_str().ok());
        let text = format!(
            "the response is compressed (content-encoding: {}), though it was asked for without: only gzip and deflate are understood",
            coding.unwrap_or("?").chars().take(40).collect::<String>()
        );
        Error::new(ErrorKind::Protocol, text)
    }

    /// Reads the whole body, up to `limit` bytes. Returns it with its share of `memory`.
    pub(crate) async fn whole(
        &mut self,
        limit: usize,
        memory: &Arc<MessageMemory>,
    ) -> Result<(Bytes, Option<Share>)> {
        let mut share = None;
        let too_large = || {
            let text = format!("the response is larger than {limit} bytes");
            Error::new(ErrorKind::Protocol, text)
        };
        if self.head.coding == Coding::Identity
            && let (Some(length), Some(lease)) = (self.body.take_length(), &mut self.lease)
        {
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= limit);
            let length = length.ok_or_else(too_large)?;
            memory.grow(&mut share, length).map_err(overloaded)?;
            let all = lease.connection.all(length).await.map_err(broken_off)?;
            return Ok((all, share));
        }
        let Some(first) = self.chunk().await? else {
            return Ok((Bytes::new(), None));
        };
        let Some(second) = self.chunk().await? else {
            return if first.len() > limit {
                Err(too_large())
            } else {
                memory.grow(&mut share, first.len()).map_err(overloaded)?;
                Ok((first, share))
            };
        };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        loop {
            if all.len() > limit {
                return Err(too_large());
            }
            memory.grow(&mut share, all.len()).map_err(overloaded)?;
            match self.chunk().await? {
                Some(chunk) => all.extend_from_slice(&chunk),
                None => return Ok((all.freeze(), share)),
            }
        }
    }

    /// Reads the beginning of the body of an error response. Returns what arrived within [`REFUSAL_TIMEOUT`]. The
    /// connection is kept if the body was read to its end.
    pub(crate) async fn explanation(mut self) -> Bytes {
        let mut all = BytesMut::new();
        let read = async {
            while all.len() < MAX_REFUSAL_BODY {
                match self.chunk().await {
                    Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        if tokio::time::timeout(REFUSAL_TIMEOUT, read).await == Ok(true) {
            self.release();
        }
        all.truncate(MAX_REFUSAL_BODY);
        all.freeze()
    }

    /// Drains the body, so that the connection can be reused. Gives up if the body is long or slow.
    pub(crate) async fn drain(mut self) {
        if self.body.is_done() {
            return self.release();
        }
        let read = async {
            for _ in 0..16 {
                match self.raw().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        if tokio::time::timeout(REFUSAL_TIMEOUT, read).await == Ok(true) {
            self.release();
        }
    }

    /// Returns the connection to the pool if the response was read to its end and the server keeps the connection.
    pub(crate) fn release(&mut self) {
        if self.body.is_done()
            && let Some(lease) = self.lease.take()
            && !self.head.last
        {
            lease.give_back(self.head.keeps_for);
        }
    }
}

/// Returns the error of a call to a server whose messages take too much memory.
pub(crate) fn overloaded(full: Full) -> Error {
    Error::new(ErrorKind::Overloaded, full.to_string()).with_retry_after(RETRY_AFTER)
}

fn broken_off(error: Broken) -> Error {
    let kind = match error {
        Broken::Invalid(_) => ErrorKind::Protocol,
        Broken::Io(_) | Broken::Closed | Broken::Cut => ErrorKind::Unavailable,
    };
    Error::new(kind, "the response broke off").with_source(error)
}
