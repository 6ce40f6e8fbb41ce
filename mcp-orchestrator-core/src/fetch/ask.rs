//! A question and its answer, over as many redirects as are allowed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, Uri};
use secrecy::zeroize::Zeroizing;

use super::connection::exchange;
use super::guard::AddressGuard;
use super::site::Site;
use crate::outbound::{Connector, Target};
use crate::runtime::BoxedIo;

/// What an answer may hold.
pub(super) const ANSWER_BYTES: usize = 1 << 20;
/// Redirects in a row.
const HOPS: usize = 3;

/// One who asks.
#[derive(Debug)]
pub(crate) struct Fetcher {
    guard: AddressGuard,
    timeout: Duration,
    connector: Connector,
}

/// A question.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) place: &'a str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) trust: Trust<'a>,
    pub(crate) redirects: Redirects,
}

/// Who named the address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// The configuration, or somebody whom it trusts: it is free.
    #[cfg_attr(
        not(feature = "jwt"),
        expect(dead_code, reason = "JWT's issuers are of the configuration")
    )]
    Configured,
    /// Somebody else: it is guarded, except at these sites, which the configuration names.
    #[cfg_attr(
        not(feature = "oauth"),
        expect(dead_code, reason = "others name addresses in OAuth alone")
    )]
    Told(&'a [Site]),
}

/// Whether the answer may stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// A redirect is the answer.
    Answer,
    /// It is followed a few times, each place guarded anew, and never from TLS to none.
    Follow,
}

/// What was answered. The body may hold secrets, so it is wiped.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer. It names the place without what may be secret in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0}: this is no http or https address")]
    Address(String),
    #[error(
        "{place}: {why}, and somebody else named it: list it under `network.allow_private` if it may be asked"
    )]
    Guarded { place: String, why: String },
    #[error("{place}: {why}")]
    Failed { place: String, why: String },
    #[error("{place}: it did not answer within {after:?}")]
    Late { place: String, after: Duration },
    #[error("{0}: it redirects too often, or to where it may not")]
    Redirect(String),
}

impl<'a> Ask<'a> {
    /// Asks for a document.
    pub(crate) fn get(place: &'a str, trust: Trust<'a>, redirects: Redirects) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            method: Method::GET,
            place,
            headers: vec![(http::header::ACCEPT, json)],
            body: Bytes::new(),
            trust,
            redirects,
        }
    }
}

impl Fetcher {
    /// Asks with a connector, where the guard allows it, and waits `timeout` for each answer.
    pub(crate) fn new(guard: AddressGuard, timeout: Duration, connector: Connector) -> Self {
        Self {
            guard,
            timeout,
            connector,
        }
    }

    /// Asks.
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
        for _ in 0..=HOPS {
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

    /// Connects to a site. Without a proxy, what its name resolved to is what is checked and what is connected to.
    ///
    /// A proxy resolves the name itself, so it is the proxy that decides about private addresses; what is private by its
    /// own word, or resolves so here, is refused all the same.
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

    /// Removes the addresses that may not be asked.
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

/// Where a redirect leads; `None` where it may not be followed.
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

/// An address without what may be secret in it.
pub(crate) fn shown(place: &str) -> &str {
    place.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_an_address_and_never_out_of_tls() {
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
