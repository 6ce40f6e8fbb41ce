//! Credentials for the cluster that end, and those that were changed in their place.
//!
//! What a program handed out is asked for again ahead of its end. Where the cluster does not know who asks (401), programs
//! and files are asked once more and the request is made again: a token file may have been rewritten, a certificate
//! replaced. Connections go with the credentials that they were made with.

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

/// Between two times that credentials are asked for because of a refusal, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends requests with certain credentials.
pub(super) type Sender = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// A way to send, and until when its credentials are good, where they end.
pub(super) struct Made {
    pub(super) sender: Sender,
    pub(super) until: Option<Timestamp>,
}

type Make = dyn Fn() -> Result<Made, AccessError> + Send + Sync;

/// The way to send with the credentials that are good now.
pub(super) struct Renewal {
    make: Arc<Make>,
    /// Whether there may be others than those that there were.
    renewable: bool,
    current: Mutex<Current>,
}

struct Current {
    sender: Sender,
    /// Counts how often they were asked for.
    nth: u64,
    since: Instant,
    /// When others are to be asked for.
    next: Option<Instant>,
}

/// Whether credentials are more than what stands in the kubeconfig itself.
pub(super) fn is_renewable(auth: &AuthInfo) -> bool {
    auth.token_file.is_some() || auth.client_certificate.is_some() || exec::is_asked(auth)
}

impl Current {
    fn new(made: Made, nth: u64) -> Self {
        let since = Instant::now();
        // Ahead of their end by a tenth of the time that they are good for.
        let lasts = made.until.map(|until| {
            let lasts = Duration::try_from(until - Timestamp::now()).unwrap_or_default();
            lasts / 10 * 9
        });
        Self {
            sender: made.sender,
            nth,
            since,
            next: lasts.map(|lasts| since + lasts.max(PAUSE)),
        }
    }
}

impl Renewal {
    /// Asks for the first credentials. It blocks.
    pub(super) fn new(
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

    /// Sends it, and once more with other credentials where the cluster does not know these.
    pub(super) async fn send(
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

    /// With the credentials of now, renewed where their end is near.
    async fn current(&self) -> (Sender, u64) {
        let mut current = self.current.lock().await;
        if current.next.is_some_and(|next| next <= Instant::now()) {
            self.renew(&mut current).await;
        }
        (current.sender.clone(), current.nth)
    }

    /// With others than those that were refused; none where there are none.
    async fn after(&self, refused: u64) -> Option<Sender> {
        let mut current = self.current.lock().await;
        if current.nth == refused {
            if current.since.elapsed() < PAUSE {
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
                current.next = current.next.map(|_| current.since + PAUSE);
            }
            // The program ends.
            Err(_) => {}
        }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// The same request; none where its body cannot be sent twice.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
