//! The connection pool of one endpoint.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::limits::{CONNECTION_IDLE_TIMEOUT, MAX_IDLE_CONNECTIONS};
use crate::runtime::Connect;
use crate::transport::http1::{Broken, Connection, Head};
use crate::transport::{Check, allowed};

/// How much earlier a connection is given up than the keep-alive time that its server announced.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The request did not reach the server.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The request may have reached the server.
    #[error("the connection failed: {0}")]
    Lost(#[from] Broken),
    /// The request was not sent, because its caller may not send it any more.
    #[error(transparent)]
    Refused(crate::error::Error),
}

/// Whether a request may be sent to its server twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request is idempotent.
    Harmless,
    /// The request may have side effects.
    Never,
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    connect: Arc<dyn Connect>,
    /// Idle connections with their expiry, most recently used last.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// A connection in use. It is returned to the pool if its response was read to the end, and closed otherwise.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new(connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            idle: Mutex::default(),
        }
    }

    /// Sends a request on an idle connection, or on a new one.
    ///
    /// A server may close an idle connection just as it is used again. A request that is [`Repeat::Harmless`] is then
    /// retried on a new connection. The request is authorized again after each wait.
    pub(crate) async fn send(
        self: &Arc<Self>,
        head: &[&[u8]],
        body: &[u8],
        (repeat, check): (Repeat, Check<'_>),
    ) -> Result<(Head, Lease), SendError> {
        allowed(check).await.map_err(SendError::Refused)?;
        if let Some(mut connection) = self.take() {
            match connection.send(head, body).await {
                Ok(head) => return Ok((head, self.lease(connection))),
                Err(Broken::Io(_) | Broken::Closed)
                    if repeat == Repeat::Harmless && !connection.has_unread() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = Connection::new(Box::pin(self.connect.connect()).await?);
        allowed(check).await.map_err(SendError::Refused)?;
        let head = connection.send(head, body).await?;
        Ok((head, self.lease(connection)))
    }

    fn lease(self: &Arc<Self>, connection: Connection) -> Lease {
        Lease {
            connection,
            pool: Arc::clone(self),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock()
    }

    fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, until) = self.idle().pop()?;
            // A connection that the server closed received nothing of this request, and data that it sent meanwhile is
            // no response to it, so it is safe to use another connection.
            if Instant::now() < until && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Closes idle connections that have expired or that the server has closed.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.idle()
            .retain_mut(|(connection, until)| now < *until && connection.is_quiet());
    }
}

impl Lease {
    /// Returns the connection to the pool after its response was read to the end. `keeps_for` is the keep-alive time
    /// that the server announced. Closes the connection if there is input after the response.
    pub(crate) fn give_back(self, keeps_for: Option<Duration>) {
        let keep = keeps_for.map_or(CONNECTION_IDLE_TIMEOUT, |time| {
            time.saturating_sub(KEEP_ALIVE_MARGIN)
                .min(CONNECTION_IDLE_TIMEOUT)
        });
        if keep.is_zero() || self.connection.has_unread() {
            return;
        }
        let mut idle = self.pool.idle();
        if idle.len() < MAX_IDLE_CONNECTIONS {
            idle.push((self.connection, Instant::now() + keep));
        }
    }
}
