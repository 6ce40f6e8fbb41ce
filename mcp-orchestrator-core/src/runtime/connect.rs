//! How an HTTP instance is connected to, and which headers go with every request.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to an instance.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream to an instance, of any make.
pub type BoxedIo = Box<dyn Io>;

/// Makes connections to one instance: TCP, TLS, or a port-forward.
///
/// # Contract
/// Each call makes a new connection, ready for HTTP/1.1, with TCP_NODELAY set. Dropping the future is safe.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// A new connection.
    ///
    /// # Errors
    /// The system's own, as `connection refused`.
    async fn connect(&self) -> std::io::Result<BoxedIo>;
}

/// Headers of the current credential generation, shared by all who send and replaced by one.
#[derive(Clone, Default)]
pub struct HeaderCell(Arc<ArcSwap<HeaderMap>>);

impl HeaderCell {
    /// A cell that holds these headers; secret ones are marked sensitive.
    pub fn new(headers: HeaderMap) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(headers)))
    }

    /// From now on these.
    pub fn set(&self, headers: HeaderMap) {
        self.0.store(Arc::new(headers));
    }

    /// Those of now.
    pub fn get(&self) -> arc_swap::Guard<Arc<HeaderMap>> {
        self.0.load()
    }
}

impl fmt::Debug for HeaderCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.get().keys()).finish()
    }
}
