//! Cookies: short-lived, sealed or random, and sent to the gateway only.

use std::time::Duration;

use http::header::{COOKIE, HOST};
use http::request::Parts;
use mcp_orchestrator_core::auth::PublicUrl;

use crate::options::Options;
use crate::request::connection::OverTls;
use crate::request::forwarded::Forwarded;

/// The cookies that are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The signed-in visitor.
    Session,
    /// The random value that forms of this browser are bound to.
    Form,
    /// A sign-in in progress.
    Flow,
    /// The link at which a sign-in at an upstream's provider began.
    OAuth,
}

impl Cookie {
    fn word(self) -> &'static str {
        match self {
            Self::Session => "mcpo-session",
            Self::Form => "mcpo-form",
            Self::Flow => "mcpo-flow",
            Self::OAuth => "mcpo-oauth",
        }
    }

    fn name(self, parts: &Parts, options: &Options) -> String {
        // With this prefix, neither another host nor anyone on the network path can set the cookie.
        let prefix = if is_secure(parts, options) {
            "__Host-"
        } else {
            ""
        };
        format!("{prefix}{}", self.word())
    }

    /// Returns its value in this request.
    pub(super) fn read<'p>(self, parts: &'p Parts, options: &Options) -> Option<&'p str> {
        let name = self.name(parts, options);
        let all = parts.headers.get_all(COOKIE).into_iter();
        let pairs = all
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let mut values = pairs.filter_map(|pair| pair.trim().split_once('='));
        values
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// Returns the header that sets it for this long.
    pub(super) fn keep(
        self,
        parts: &Parts,
        options: &Options,
        (value, life): (&str, Duration),
    ) -> String {
        let name = self.name(parts, options);
        let secure = if is_secure(parts, options) {
            "; Secure"
        } else {
            ""
        };
        // Lax: links from elsewhere, such as a client's window, must open the page with its visitor signed in.
        format!(
            "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            life.as_secs()
        )
    }

    /// Returns the header that deletes it.
    pub(super) fn drop(self, parts: &Parts, options: &Options) -> String {
        self.keep(parts, options, ("", Duration::ZERO))
    }
}

/// Returns `true` if the browser reaches the gateway over TLS.
fn is_secure(parts: &Parts, options: &Options) -> bool {
    if parts.extensions.get::<OverTls>().is_some() {
        return true;
    }
    if let Some(forwarded) = parts.extensions.get::<Forwarded>() {
        return forwarded.https;
    }
    let public = options.public_url.as_ref().filter(|url| url.is_https());
    let authority = public.map(PublicUrl::authority);
    authority.is_some() && authority == host(parts)
}

/// Returns the host that the browser requested.
pub(super) fn host(parts: &Parts) -> Option<&str> {
    let forwarded = parts.extensions.get::<Forwarded>();
    let forwarded = forwarded.and_then(|forwarded| forwarded.host.as_deref());
    let host = || parts.headers.get(HOST)?.to_str().ok();
    let authority = || parts.uri.authority().map(http::uri::Authority::as_str);
    forwarded.or_else(host).or_else(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)], tls: bool) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        if tls {
            parts.extensions.insert(OverTls);
        }
        parts
    }

    #[test]
    fn cookie_is_bound_to_the_host_over_tls() {
        let mut options = Options::default();
        let both = "mcpo-session=plain; __Host-mcpo-session=bound; x=1";
        let plain = parts(&[("host", "127.0.0.1:1"), ("cookie", both)], false);
        assert_eq!(Cookie::Session.read(&plain, &options), Some("plain"));
        let tls = parts(&[("host", "m.example"), ("cookie", both)], true);
        assert_eq!(Cookie::Session.read(&tls, &options), Some("bound"));
        assert_eq!(Cookie::Form.read(&tls, &options), None);
        let kept = Cookie::Session.keep(&tls, &options, ("v", Duration::from_secs(9)));
        assert_eq!(
            kept,
            "__Host-mcpo-session=v; Path=/; Max-Age=9; HttpOnly; SameSite=Lax; Secure"
        );
        // Behind a proxy that adds no headers, the public address decides.
        options.public_url = Some("https://m.example".parse().unwrap());
        let behind = parts(&[("host", "m.example"), ("cookie", both)], false);
        assert_eq!(Cookie::Session.read(&behind, &options), Some("bound"));
        assert_eq!(Cookie::Session.read(&plain, &options), Some("plain"));
    }
}
