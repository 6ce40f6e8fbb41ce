//! Redirects: followed within the origin, with method and body kept.
//!
//! Many frameworks send `/mcp` on to `/mcp/`, some of them by 301, which browsers turn into a GET. Nothing here is served
//! by that, so each of these statuses means: the same request, over there.

use http::StatusCode;
use http::header::LOCATION;

use super::exchange::Exchange;
use super::heads::{Lines, Verb};
use super::pool::Repeat;
use super::{Http, origin};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_REDIRECTS;

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Http {
    /// Follows a redirect, and those behind it.
    pub(super) async fn redirected(
        &self,
        mut exchange: Exchange,
        verb: Verb,
        body: &[u8],
        more: &Lines,
        repeat: Repeat,
    ) -> Result<Exchange> {
        // An address is relative to the one that it came from.
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
            let sent = self.pool.send(&parts, body, repeat);
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
