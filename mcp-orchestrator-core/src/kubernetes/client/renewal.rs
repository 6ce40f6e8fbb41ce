//! Renews credentials for the cluster that expire or are replaced.
//!
//! A credential plugin is called again before its credential expires. After a 401 response, plugins and files are
//! read once more and the request is repeated, because a token file may have been rewritten or a certificate
//! replaced. Connections are dropped together with the credentials that they were opened with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use kube::config::AuthInfo;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceExt as _};

use super::errors::AccessError;
use super::exec;

/// Minimum time between two renewals after a 401 response.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Sends requests with fixed credentials.
pub(crate) type Sender = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// A sender, and when its credentials expire, if they do.
pub(crate) struct Made {
    pub(crate) sender: Sender,
    pub(crate) until: Option<Timestamp>,
}

type Make = dyn Fn() -> Result<Made, AccessError> + Send + Sync;

/// Sends requests with the current credentials.
pub(crate) struct Renewal {
    make: Arc<Make>,
    /// Whether reading the credentials again may yield different ones.
    renewable: bool,
    current: Mutex<Current>,
}

struct Current {
    sender: Sender,
    /// Incremented with each renewal.
    nth: u64,
    since: Instant,
    /// When to renew ahead of the expiry.
    next: Option<Instant>,
}

/// Returns `true` if the credentials are not all contained in the kubeconfig itself.
pub(crate) fn is_renewable(auth: &AuthInfo) -> bool {
    auth.token_file.is_some() || auth.client_certificate.is_some() || exec::is_asked(auth)
}

impl Current {
    fn new(made: Made, nth: u64) -> Self {
        let since = Instant::now();
        // Renew after 90 % of the remaining lifetime.
        let lasts = made.until.map(|until| {
            let lasts = Duration::try_from(until - Timestamp::now()).unwrap_or_default();
            lasts / 10 * 9
        });
        Self {
            sender: made.sender,
            nth,
            since,
            next: lasts.map(|lasts| since + lasts.max(MIN_RENEWAL_INTERVAL)),
        }
    }
}

impl Renewal {
    /// Obtains the first credentials. Blocks.
    pub(crate) fn new(
        renewable: bool,
        make: impl Fn() -> Result<Made, AccessError> + Send + Sync + 'static,
    ) -> Result<Self, AccessError> {
        let current = Mutex::new(Current::new(make()?, 0));
        Ok(Self {
            make: Arc::new(make),
            renewable,
            current,
        })
    }

    /// Sends a request, and repeats it once with renewed credentials after a 401 response.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, BoxError> {
        let again = self.renewable.then(|| copy(&request)).flatten();
        let (sender, nth) = self.current().await;
        let response = sender.oneshot(request).await?;
        let Some(again) = again.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(response);
        };
        match self.after(nth).await {
            Some(sender) => sender.oneshot(again).await,
            None => Ok(response),
        }
    }

    /// Returns the current sender, renewed if its credentials are about to expire.
    async fn current(&self) -> (Sender, u64) {
        let mut current = self.current.lock().await;
        if current.next.is_some_and(|next| next <= Instant::now()) {
            self.renew(&mut current).await;
        }
        (current.sender.clone(), current.nth)
    }

    /// Returns a sender with newer credentials than the refused ones; `None` if there are none.
    async fn after(&self, refused: u64) -> Option<Sender> {
        let mut current = self.current.lock().await;
        if current.nth == refused {
            if current.since.elapsed() < MIN_RENEWAL_INTERVAL {
                return None;
            }
            self.renew(&mut current).await;
        }
        (current.nth != refused).then(|| current.sender.clone())
    }

    async fn renew(&self, current: &mut Current) {
        let make = Arc::clone(&self.make);
        match tokio::task::spawn_blocking(move || make()).await {
            Ok(Ok(made)) => *current = Current::new(made, current.nth + 1),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no other credentials for the cluster");
                current.since = Instant::now();
                current.next = current.next.map(|_| current.since + MIN_RENEWAL_INTERVAL);
            }
            // The runtime is shutting down.
            Err(_) => {}
        }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// Copies a request; `None` if its body cannot be sent twice.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
