//! Sends requests, and follows redirects if they are allowed.

use std::time::Duration;

use http::Uri;
use http::header::LOCATION;

use super::connection::exchange;
use super::exchange::{Answer, Ask, FetchError, Redirects, Trust};
use super::guard::AddressGuard;
use super::site::Site;
use crate::connect::BoxedIo;
use crate::limits::MAX_FETCH_REDIRECTS;
use crate::outbound::{Connector, Target};

/// The client for small requests.
#[derive(Debug)]
pub(crate) struct Fetcher {
    guard: AddressGuard,
    timeout: Duration,
    connector: Connector,
}

impl Fetcher {
    /// Creates a client. `timeout` bounds a request including its redirects.
    pub(crate) fn new(guard: AddressGuard, timeout: Duration, connector: Connector) -> Self {
        Self {
            guard,
            timeout,
            connector,
        }
    }

    /// Sends a request and returns the response.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, FetchError> {
        let late = || FetchError::Late {
            place: shown(ask.place).to_owned(),
            after: self.timeout,
        };
        let asked = Box::pin(self.follow(&ask));
        let answer = tokio::time::timeout(self.timeout, asked).await;
        answer.unwrap_or_else(|_| Err(late()))
    }

    async fn follow(&self, ask: &Ask<'_>) -> Result<Answer, FetchError> {
        let mut place = ask.place.to_owned();
        for _ in 0..=MAX_FETCH_REDIRECTS {
            let answer = self.once(ask, &place).await?;
            let next = answer.status.is_redirection() && ask.redirects == Redirects::Follow;
            if !next {
                return Ok(answer);
            }
            let location = answer.headers.get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            place = location
                .and_then(|location| redirected(&place, location))
                .ok_or_else(|| FetchError::Redirect(shown(&place).to_owned()))?;
        }
        Err(FetchError::Redirect(shown(ask.place).to_owned()))
    }

    async fn once(&self, ask: &Ask<'_>, place: &str) -> Result<Answer, FetchError> {
        let wrong = || FetchError::Address(shown(place).to_owned());
        let failed = |why: String| FetchError::Failed {
            place: shown(place).to_owned(),
            why,
        };
        let uri: Uri = place.parse().map_err(|_| wrong())?;
        let site = Site::of(&uri).ok_or_else(wrong)?;
        let io = self.connect(ask, &site, place).await?;
        exchange(io, &uri, ask).await.map_err(failed)
    }

    /// Connects to a site. Without a proxy, the resolved addresses are checked and exactly these are connected to.
    ///
    /// A proxy resolves the name itself, so the proxy decides about private addresses. A name that is a private
    /// address, or that resolves to one here, is still rejected.
    async fn connect(
        &self,
        ask: &Ask<'_>,
        site: &Site,
        place: &str,
    ) -> Result<BoxedIo, FetchError> {
        let failed = |error: std::io::Error| FetchError::Failed {
            place: shown(place).to_owned(),
            why: error.to_string(),
        };
        let target = Target {
            https: site.https,
            host: site.host.clone(),
            port: site.port,
        };
        let proxied = self.connector.is_proxied(&target);
        let guarded = match ask.trust {
            Trust::Configured => false,
            Trust::Told(free) => {
                !free.contains(site) && !self.guard.allows_name(&site.origin, &site.host)
            }
        };
        if proxied && !guarded {
            return self.connector.connect(&target).await.map_err(failed);
        }
        let found = tokio::net::lookup_host((site.host.as_str(), site.port)).await;
        let mut addresses = match found {
            Ok(found) => found.collect(),
            // Only the proxy can resolve names of other networks.
            Err(_) if proxied => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        if guarded && !(proxied && addresses.is_empty()) {
            self.check(site, place, &mut addresses)?;
        }
        let connected = if proxied {
            self.connector.connect(&target).await
        } else {
            self.connector.connect_to(&target, addresses).await
        };
        connected.map_err(failed)
    }

    /// Removes the addresses that may not be contacted.
    fn check(
        &self,
        site: &Site,
        place: &str,
        addresses: &mut Vec<std::net::SocketAddr>,
    ) -> Result<(), FetchError> {
        let guarded = |why: &str| FetchError::Guarded {
            place: shown(place).to_owned(),
            why: why.to_owned(),
        };
        addresses.retain(|address| self.guard.allows(address.ip()));
        if addresses.is_empty() {
            return Err(guarded("it is a private address"));
        }
        let private = |address: &std::net::SocketAddr| self.guard.allows_private(address.ip());
        if !site.https && !addresses.iter().all(private) {
            return Err(guarded("it is reached without TLS"));
        }
        Ok(())
    }
}

/// Returns the target of a redirect, or `None` if it may not be followed.
fn redirected(from: &str, location: &str) -> Option<String> {
    let location = location.split('#').next()?;
    if location.contains("://") {
        let down = from.starts_with("https:") && !location.starts_with("https:");
        return (!down).then(|| location.to_owned());
    }
    let path = location
        .strip_prefix('/')
        .filter(|rest| !rest.starts_with('/'))?;
    let from: Uri = from.parse().ok()?;
    Some(format!(
        "{}://{}/{path}",
        from.scheme_str()?,
        from.authority()?
    ))
}

/// Returns a URL without its query and fragment, which may be secret.
pub(crate) fn shown(place: &str) -> &str {
    place.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_is_resolved_and_never_downgrades_tls() {
        let rows = [
            (
                "https://a.example/x",
                "https://b.example/y?q#f",
                Some("https://b.example/y?q"),
            ),
            ("https://a.example/x", "/y", Some("https://a.example/y")),
            ("http://a.example:81/x", "/y", Some("http://a.example:81/y")),
            (
                "http://a.example/x",
                "https://b.example/",
                Some("https://b.example/"),
            ),
            ("https://a.example/x", "http://a.example/x", None),
            ("https://a.example/x", "//b.example/", None),
            ("https://a.example/x", "y", None),
        ];
        for (from, location, to) in rows {
            assert_eq!(
                redirected(from, location).as_deref(),
                to,
                "{from} {location}"
            );
        }
    }
}
