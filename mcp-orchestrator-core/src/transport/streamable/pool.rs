//! HTTP/1.1 connections to one endpoint, kept for the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::runtime::Connect;

/// Connections that are kept although nobody uses them.
const IDLE_MAX: usize = 256;
/// For how long; shorter than what servers commonly grant.
const IDLE_FOR: Duration = Duration::from_secs(50);

type Sender = SendRequest<Full<Bytes>>;

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It did not reach the server.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// It may have reached it.
    #[error("the connection failed: {0}")]
    Lost(#[from] hyper::Error),
}

/// Connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    connect: Arc<dyn Connect>,
    idle: Mutex<Vec<(Sender, Instant)>>,
    drivers: Mutex<JoinSet<()>>,
}

/// A connection in use; given back after its response was read to the end, closed otherwise.
#[derive(Debug)]
pub(super) struct Lease {
    sender: Sender,
    pool: Arc<Pool>,
}

impl Pool {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            idle: Mutex::default(),
            drivers: Mutex::default(),
        }
    }

    /// Sends a request on a kept connection, else on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        while let Some(mut sender) = self.take() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lease(sender))),
                // Closed before anything was sent: another connection will do.
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(refused.into_error().into()),
                },
            }
        }
        let mut sender = Box::pin(self.open()).await?;
        let response = sender.send_request(request).await?;
        Ok((response, self.lease(sender)))
    }

    fn lease(self: &Arc<Self>, sender: Sender) -> Lease {
        Lease {
            sender,
            pool: Arc::clone(self),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Sender, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some((sender, since)) = idle.pop() {
            if since.elapsed() > IDLE_FOR {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    async fn open(&self) -> Result<Sender, SendError> {
        let io = self.connect.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        while drivers.try_join_next().is_some() {}
        drivers.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }
}

impl Lease {
    /// Keeps the connection for the next request; its response was read to the end.
    pub(super) fn give_back(self) {
        let mut idle = self.pool.idle();
        if idle.len() < IDLE_MAX && !self.sender.is_closed() {
            idle.push((self.sender, Instant::now()));
        }
    }
}
