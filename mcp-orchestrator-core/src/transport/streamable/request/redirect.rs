//! Follows redirects within the origin, keeping method and body.
//!
//! Many frameworks redirect `/mcp` to `/mcp/`, some of them with 301, which browsers turn into a GET. A GET is of no
//! use here, so every redirect status except 303 for a POST means: repeat the same request at the new location.

use http::StatusCode;
use http::header::LOCATION;

use super::connections::Repeat;
use super::exchange::{Exchange, is_redirect};
use super::headers::{Lines, Verb};
use super::origin;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_REDIRECTS;
use crate::transport::Check;
use crate::transport::streamable::Http;

impl Http {
    /// Follows a chain of redirects.
    pub(crate) async fn redirected(
        &self,
        mut exchange: Exchange,
        verb: Verb,
        body: &[u8],
        more: &Lines,
        (repeat, check): (Repeat, Check<'_>),
    ) -> Result<Exchange> {
        // A location is relative to the URL that it came from.
        let mut from = self.uri.clone();
        for _ in 0..MAX_REDIRECTS {
            let status = exchange.head.status;
            if !is_redirect(status) {
                return Ok(exchange);
            }
            let location = exchange.head.field(&LOCATION);
            exchange.drain().await;
            let location = location
                .as_ref()
                .and_then(|location| location.to_str().ok());
            if status == StatusCode::SEE_OTHER && verb == Verb::Post {
                return Err(self.leads_away(status, "to a page that is read with GET"));
            }
            let Some(location) = location else {
                return Err(self.leads_away(status, "to nowhere: it names no location"));
            };
            let Some(target) = origin::resolve(&from, location) else {
                let elsewhere = origin::shown(&from, location);
                let what = format!(
                    "to another origin ({elsewhere}), where the credential is not sent: if that is right, put it into `url`"
                );
                return Err(self.leads_away(status, &what));
            };
            let head = self.heads.redirected(verb, &target);
            let parts = [head.bytes(), more.bytes()];
            let sent = self.pool.send(&parts, body, (repeat, check));
            let (head, lease) = sent.await.map_err(|error| self.unreachable(error))?;
            exchange = Exchange::new(head, lease);
            from = origin::at(&from, &target);
        }
        if !is_redirect(exchange.head.status) {
            return Ok(exchange);
        }
        let what = format!("more than {MAX_REDIRECTS} times in a row");
        Err(self.leads_away(exchange.head.status, &what))
    }

    fn leads_away(&self, status: StatusCode, what: &str) -> Error {
        let text = format!(
            "server {} redirects (HTTP {}) {what}",
            self.place.server,
            status.as_u16()
        );
        self.placed(Error::new(ErrorKind::Protocol, text))
    }
}
