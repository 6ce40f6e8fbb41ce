//! Whether the last attempt to connect to an instance worked.
//!
//! An instance that is reached over connections, as a remote server is, needs none to be started: without this one that
//! is down would read as running.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use crate::runtime::{BoxedIo, Connect};

/// Why an instance cannot be connected to, where the last attempt failed.
#[derive(Debug, Default)]
pub(crate) struct Reach(ArcSwapOption<String>);

/// Makes connections, and remembers how the last attempt ended.
#[derive(Debug)]
pub(super) struct Watched {
    connect: Arc<dyn Connect>,
    reach: Arc<Reach>,
}

impl Reach {
    /// Why the last attempt to connect failed; `None`: it did not, or none was made.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.load_full().map(|text| text.as_ref().clone())
    }
}

impl Watched {
    pub(super) fn new(connect: Arc<dyn Connect>, reach: Arc<Reach>) -> Self {
        Self { connect, reach }
    }
}

#[async_trait]
impl Connect for Watched {
    async fn connect(&self) -> io::Result<BoxedIo> {
        let connected = self.connect.connect().await;
        let failure = connected.as_ref().err();
        let text = failure.map(|error| Arc::new(format!("cannot connect: {error}")));
        self.reach.0.store(text);
        connected
    }
}
