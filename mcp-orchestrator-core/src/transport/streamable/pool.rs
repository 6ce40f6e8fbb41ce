//! Connections to one endpoint, kept for the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{CONNECTION_IDLE_TIMEOUT, MAX_IDLE_CONNECTIONS};
use crate::runtime::Connect;
use crate::transport::http1::{Broken, Connection, Head};

/// How much earlier than its server a connection is given up that its server keeps for a stated time.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It did not reach the server.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// It may have reached it.
    #[error("the connection failed: {0}")]
    Lost(#[from] Broken),
}

/// Whether a request may reach its server twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or nothing more the second time.
    Harmless,
    /// It may have effects.
    Never,
}

/// Connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    connect: Arc<dyn Connect>,
    /// Each with when it is given up; those used last stand last.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// A connection in use; given back after its response was read to the end, closed otherwise.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Arc<Pool>,
}

impl Pool {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            idle: Mutex::default(),
        }
    }

    /// Sends a request on a kept connection, else on a new one.
    ///
    /// A server may close a kept connection at the moment when it is used again. A request that is [`Repeat::Harmless`] is
    /// then sent once more, on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        head: &[&[u8]],
        body: &[u8],
        repeat: Repeat,
    ) -> Result<(Head, Lease), SendError> {
        if let Some(mut connection) = self.take() {
            match connection.send(head, body).await {
                Ok(head) => return Ok((head, self.lease(connection))),
                Err(Broken::Io(_) | Broken::Closed)
                    if repeat == Repeat::Harmless && !connection.has_unread() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = Connection::new(Box::pin(self.connect.connect()).await?);
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
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, until) = self.idle().pop()?;
            // What the server closed meanwhile got nothing of this request, and what it said meanwhile is no answer to it:
            // another one will do.
            if Instant::now() < until && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Closes what nobody used for long, and what its server has closed.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle()
            .retain_mut(|(connection, until)| now < *until && connection.is_quiet());
    }
}

impl Lease {
    /// Keeps the connection for the next request; its response was read to the end. `keeps_for` is for how long the
    /// server keeps it. Where more came than the response, it is closed instead.
    pub(super) fn give_back(self, keeps_for: Option<Duration>) {
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
