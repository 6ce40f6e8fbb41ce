//! Records whether the last attempt to connect to an instance succeeded.
//!
//! An instance that is reached over connections, such as a remote server, starts without making one. Without this
//! record, a remote server that is down would be reported as running.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use crate::runtime::{BoxedIo, Connect};

/// Why the last attempt to connect failed, if it did.
#[derive(Debug, Default)]
pub(crate) struct Reach(ArcSwapOption<String>);

/// Makes connections and records the outcome of the last attempt.
#[derive(Debug)]
pub(crate) struct Watched {
    connect: Arc<dyn Connect>,
    reach: Arc<Reach>,
}

impl Reach {
    /// Returns why the last attempt to connect failed, or `None` if it succeeded or none was made.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.load_full().map(|text| text.as_ref().clone())
    }

    /// Records the outcome of an attempt to connect that was not made for a call.
    pub(crate) fn record(&self, failure: Option<&str>) {
        self.0.store(failure.map(|text| Arc::new(text.to_owned())));
    }
}

impl Watched {
    pub(crate) fn new(connect: Arc<dyn Connect>, reach: Arc<Reach>) -> Self {
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

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::runtime::TcpConnect;
    use crate::testing::connect::{HttpPeer, suite};

    #[tokio::test]
    async fn recorded_connections_uphold_the_connector_contract() {
        let reach = Arc::new(Reach::default());
        let peer = HttpPeer::start().await;
        let tcp = TcpConnect::new("127.0.0.1", peer.address().port());
        let watched = Watched::new(Arc::new(tcp), Arc::clone(&reach));
        suite(&watched).await;
        assert_eq!(reach.failure(), None);
    }
}
