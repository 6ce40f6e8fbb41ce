//! A response on its way: its head, and its body by parts.

use bytes::{Bytes, BytesMut};

use super::pool::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::http1::{Body, Broken, Head, Media};

/// A response whose body is not read yet.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) head: Head,
    body: Body,
    lease: Option<Lease>,
}

impl Exchange {
    pub(super) fn new(head: Head, lease: Lease) -> Self {
        let mut exchange = Self {
            body: head.body.clone(),
            head,
            lease: Some(lease),
        };
        exchange.give_back_at_end();
        exchange
    }

    /// Whether the body is a stream of events.
    pub(super) fn is_events(&self) -> bool {
        self.head.media == Media::Events
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.head.media == Media::Json
    }

    /// The next part of the body; `None` at its end, where the connection is given back.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(lease) = &mut self.lease else {
            return Ok(None);
        };
        let part = lease.connection.part(&mut self.body).await;
        let part = part.map_err(broken_off)?;
        if part.is_none() && self.body.ends_with_connection() {
            self.lease = None;
        }
        self.give_back_at_end();
        Ok(part)
    }

    /// The whole body.
    pub(super) async fn whole(&mut self, limit: usize) -> Result<Bytes> {
        let too_large = || {
            let text = format!("the response is larger than {limit} bytes");
            Error::new(ErrorKind::Protocol, text)
        };
        if let (Some(length), Some(lease)) = (self.body.take_length(), &mut self.lease) {
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= limit);
            let length = length.ok_or_else(too_large)?;
            let all = lease.connection.all(length).await.map_err(broken_off)?;
            self.give_back_at_end();
            return Ok(all);
        }
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
                return Err(too_large());
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

    fn give_back_at_end(&mut self) {
        if self.body.is_done()
            && let Some(lease) = self.lease.take()
            && !self.head.last
        {
            lease.give_back();
        }
    }
}

fn broken_off(error: Broken) -> Error {
    let kind = match error {
        Broken::Invalid(_) => ErrorKind::Protocol,
        Broken::Io(_) | Broken::Closed | Broken::Cut => ErrorKind::Unavailable,
    };
    Error::new(kind, "the response broke off").with_source(error)
}
