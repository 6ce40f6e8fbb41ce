//! A proxy to the API server that can cut its connections.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::config::Kubeconfig;
use mcp_orchestrator_core::runtime::kubernetes::{Access, AccessOptions};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cluster::TestNamespace;

/// Forwards bytes to the API server.
pub(crate) struct Proxy {
    /// Access through the proxy.
    pub(crate) access: Access,
    connections: Arc<Mutex<JoinSet<()>>>,
    closed: Arc<AtomicBool>,
    stalled: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy and opens access as the cluster's administrator.
    pub(crate) async fn start(space: &TestNamespace) -> Self {
        let config = Kubeconfig::read_from(&space.kubeconfig).unwrap();
        Self::over(space, config).await
    }

    /// Starts a proxy and opens access as the account of this token file.
    pub(crate) async fn start_as(space: &TestNamespace, token: &Path) -> Self {
        Self::over(space, space.config_of(token)).await
    }

    async fn over(space: &TestNamespace, mut config: Kubeconfig) -> Self {
        let cluster = config.clusters[0].cluster.as_mut().unwrap();
        let server: http::Uri = cluster.server.as_ref().unwrap().parse().unwrap();
        let upstream = server.authority().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        cluster.server = Some(format!("https://{here}"));
        cluster.tls_server_name = server.host().map(str::to_owned);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        let all = Arc::clone(&connections);
        let closed = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&closed);
        let stalled = watch::Sender::new(false);
        let stalls = stalled.clone();
        accepting.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if refuses.load(Ordering::Acquire) {
                    continue;
                }
                let upstream = upstream.clone();
                let mut stall = stalls.subscribe();
                all.lock().spawn(async move {
                    let mut far = TcpStream::connect(upstream).await.unwrap();
                    let mut copy = pin!(tokio::io::copy_bidirectional(&mut near, &mut far));
                    while stall.wait_for(|stalled| !stalled).await.is_ok() {
                        tokio::select! {
                            // Either side may disconnect at any time.
                            _ = &mut copy => return,
                            _ = stall.wait_for(|stalled| *stalled) => {}
                        }
                    }
                });
            }
        });
        let file = space.file("proxied");
        std::fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
        let options = AccessOptions {
            kubeconfig: Some(file),
            namespace: Some(space.name.clone()),
            ..AccessOptions::default()
        };
        Self {
            access: Access::open(&options).await.unwrap(),
            connections,
            closed,
            stalled,
            _accepting: accepting,
        }
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.cut();
    }

    /// Accepts new connections again.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::Release);
    }

    /// Keeps all connections open but forwards nothing until [`resume`](Self::resume).
    pub(crate) fn stall(&self) {
        self.stalled.send_replace(true);
    }

    /// Forwards again, first what was sent while the proxy was stalled.
    pub(crate) fn resume(&self) {
        self.stalled.send_replace(false);
    }

    /// Cuts all current connections.
    pub(crate) fn cut(&self) {
        self.connections.lock().abort_all();
    }
}
