//! Connections to an HTTP instance, and the headers sent with every request.

mod tcp;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::tcp::TcpConnect;
#[cfg(feature = "outbound")]
pub(crate) use self::tcp::connect_any;

/// A byte stream to an instance.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A boxed byte stream to an instance.
pub type BoxedIo = Box<dyn Io>;

/// Opens connections to one instance: over TCP, TLS or a port-forward.
///
/// # Contract
/// Each call opens a new connection that is ready for HTTP/1.1 and has TCP_NODELAY set. Dropping the future is safe.
/// An implementation runs the suite of [`crate::testing::connect`].
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// Opens a new connection.
    ///
    /// # Errors
    /// The operating system's error, such as `connection refused`.
    async fn connect(&self) -> std::io::Result<BoxedIo>;
}

/// The headers of the current credential generation, shared by all senders and replaced as a whole.
#[derive(Clone, Default)]
pub struct HeaderCell(Arc<ArcSwap<HeaderMap>>);

impl HeaderCell {
    /// Creates a cell with these headers. The caller marks secret values as sensitive.
    pub fn new(headers: HeaderMap) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(headers)))
    }

    /// Replaces the headers; requests sent afterwards use the new ones.
    pub fn set(&self, headers: HeaderMap) {
        self.0.store(Arc::new(headers));
    }

    /// Returns the current headers.
    pub fn get(&self) -> arc_swap::Guard<Arc<HeaderMap>> {
        self.0.load()
    }
}

impl fmt::Debug for HeaderCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.get().keys()).finish()
    }
}
