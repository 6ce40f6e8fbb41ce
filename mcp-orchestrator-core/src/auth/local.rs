//! Authenticates every caller on the loopback listener as the one local user.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;

use super::{Authenticated, Authenticator, Principal};
use crate::error::Result;
use crate::id::PrincipalId;

/// Request extension that marks a request as accepted on a loopback address of this machine.
///
/// No content of a request can forge it. The gateway's `serve()` sets it; an embedding program may set it only if it
/// listens on loopback itself and no proxy forwards to that listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackListener;

/// Returns `true` for the headers that proxies add. A request with any of them did not originate on this machine.
fn is_of_a_proxy(header: &str) -> bool {
    // Each request has several headers, and nearly all of them differ in the first byte.
    if !matches!(header.as_bytes(), [b'c' | b'f' | b't' | b'v' | b'x', ..]) {
        return false;
    }
    matches!(
        header,
        "cf-connecting-ip"
            | "fly-client-ip"
            | "forwarded"
            | "true-client-ip"
            | "via"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-envoy-external-address"
            | "x-forwarded-by"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-server"
            | "x-original-forwarded-for"
            | "x-real-ip"
    )
}

/// Authenticates requests as the local user if they carry [`LoopbackListener`] and no proxy forwarded them.
#[derive(Clone, Debug)]
pub struct LocalAuthenticator {
    user: Arc<Principal>,
    beside_others: bool,
}

impl LocalAuthenticator {
    /// The [method](Principal::method) of its principal.
    pub const METHOD: &'static str = "local";

    /// Creates an authenticator for a local user with this name.
    pub fn new(user: PrincipalId) -> Self {
        Self {
            user: Arc::new(Principal::user(user, Self::METHOD)),
            beside_others: false,
        }
    }

    /// Configures use alongside token authenticators: a request with an `Authorization` header is never taken for the
    /// local user, so an unknown token is rejected.
    #[must_use]
    pub fn beside_others(mut self) -> Self {
        self.beside_others = true;
        self
    }

    /// Creates an authenticator for a local user named after the system user that runs this process, or else `local`.
    pub fn for_system_user() -> Self {
        let names = ["USER", "LOGNAME", "USERNAME"].into_iter();
        let user = names
            .filter_map(|name| std::env::var(name).ok())
            .find_map(|name| PrincipalId::new(name).ok());
        let user = user.or_else(|| PrincipalId::new("local").ok());
        Self::new(user.expect("`local` is a name"))
    }

    /// Returns the local user.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.user
    }
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_of_a_proxy(name.as_str()))
}

#[async_trait]
impl Authenticator for LocalAuthenticator {
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>> {
        if parts.extensions.get::<LoopbackListener>().is_none() || is_forwarded(&parts.headers) {
            return Ok(None);
        }
        if self.beside_others && parts.headers.contains_key(http::header::AUTHORIZATION) {
            return Ok(None);
        }
        Ok(Some(Authenticated::new(Arc::clone(&self.user))))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};

    use super::*;
    use crate::auth::AuthenticatorChain;
    #[cfg(feature = "test-util")]
    use crate::auth::{Directory, People, WithDirectory};
    use crate::error::ErrorKind;

    fn request(header: Option<&str>, loopback: bool) -> http::request::Parts {
        let mut request = Request::new(());
        if let Some(name) = header {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, "x".parse().unwrap());
        }
        if loopback {
            request.extensions_mut().insert(LoopbackListener);
        }
        request.into_parts().0
    }

    fn ann() -> LocalAuthenticator {
        LocalAuthenticator::new(PrincipalId::new("ann").unwrap())
    }

    #[tokio::test]
    async fn only_direct_local_requests_are_the_local_user() {
        let cases = [
            (request(None, true), true),
            (request(Some("accept"), true), true),
            (request(None, false), false),
            (request(Some("X-Forwarded-For"), true), false),
            (request(Some("forwarded"), true), false),
        ];
        for (parts, local) in cases {
            let who = ann().authenticate(&parts).await.unwrap();
            assert_eq!(who.is_some(), local, "{:?}", parts.headers);
        }
        assert_eq!(ann().principal().id.as_str(), "ann");
        let system = LocalAuthenticator::for_system_user();
        assert_eq!(system.principal().method, "local");
    }

    #[tokio::test]
    async fn unrecognized_token_does_not_fall_back_to_the_local_user() {
        let shown = request(Some("authorization"), true);
        assert!(ann().authenticate(&shown).await.unwrap().is_some());
        let beside = ann().beside_others();
        assert!(beside.authenticate(&shown).await.unwrap().is_none());
        let plain = request(None, true);
        assert!(beside.authenticate(&plain).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn chain_rejects_a_request_that_no_authenticator_accepts() {
        let chain = AuthenticatorChain::new([Arc::new(ann()) as _]).unwrap();
        let error = chain.authenticate(&request(None, false)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(AuthenticatorChain::new([]).is_err());
    }

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn local_chain_and_directory_uphold_the_authenticator_contract() {
        let local: Arc<dyn Authenticator> = Arc::new(ann());
        let chain = AuthenticatorChain::new([Arc::clone(&local)]).unwrap();
        let people = People {
            teams: Vec::new(),
            admins: vec![PrincipalId::new("ann").unwrap()],
        };
        let directory = Arc::new(Directory::new(&people));
        let with_directory = WithDirectory::new(ann(), directory);
        for authenticator in [local, Arc::new(chain), Arc::new(with_directory)] {
            let (known, foreign) = (request(None, true), request(None, false));
            crate::testing::auth::suite(&*authenticator, &known, &foreign).await;
        }
    }
}
