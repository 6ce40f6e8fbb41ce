//! Connections to one endpoint, kept for the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::Connect;
use crate::transport::http1::{Broken, Connection, Head};

/// Connections that are kept although nobody uses them.
const IDLE_MAX: usize = 256;
/// For how long; shorter than what servers commonly grant.
const IDLE_FOR: Duration = Duration::from_secs(50);

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

/// Connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    connect: Arc<dyn Connect>,
    /// Those used last stand last.
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
    pub(super) async fn send(
        self: &Arc<Self>,
        head: &[&[u8]],
        body: &[u8],
    ) -> Result<(Head, Lease), SendError> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => Connection::new(Box::pin(self.connect.connect()).await?),
        };
        let head = connection.send(head, body).await?;
        let lease = Lease {
            connection,
            pool: Arc::clone(self),
        };
        Ok((head, lease))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if since.elapsed() > IDLE_FOR {
                // Those below are older still.
                self.idle().clear();
                return None;
            }
            // What the server closed meanwhile got nothing of this request: another one will do.
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Closes what nobody used for long, and what its server has closed.
    pub(super) fn sweep(&self) {
        self.idle()
            .retain_mut(|(connection, since)| since.elapsed() < IDLE_FOR && connection.is_quiet());
    }
}

impl Lease {
    /// Keeps the connection for the next request; its response was read to the end.
    pub(super) fn give_back(self) {
        let mut idle = self.pool.idle();
        if idle.len() < IDLE_MAX {
            idle.push((self.connection, Instant::now()));
        }
    }
}
