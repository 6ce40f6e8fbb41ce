//! The contract suites of [`Authenticator`] and [`Grant`].

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::auth::{Authenticator, Grant, Standing};
use crate::error::ErrorKind;

/// Verifies the contract of an [`Authenticator`]. `known` is a request that it accepts, `foreign` one that carries
/// nothing of its own.
///
/// # Panics
/// If the authenticator violates the contract.
pub async fn suite(authenticator: &dyn Authenticator, known: &Parts, foreign: &Parts) {
    match authenticator.authenticate(foreign).await {
        Ok(None) => {}
        Ok(Some(who)) => panic!("a foreign request is taken for {who:?}"),
        // The last authenticator of a chain rejects foreign requests.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthenticated),
    }
    // Dropped at its first wait: later requests must not be affected.
    drop(authenticator.authenticate(known).now_or_never());
    let first = authenticator.authenticate(known).await.expect("it holds");
    let first = first.expect("a known request is recognized");
    for again in join_all((0..8).map(|_| authenticator.authenticate(known))).await {
        let again = again.expect("it holds");
        let again = again.expect("a known request is recognized again");
        assert_eq!(first.principal, again.principal);
        assert_eq!((first.admin, &first.gateway), (again.admin, &again.gateway));
    }
    assert!(!first.principal.method.is_empty());
    if let Some(header) = known.headers.get(AUTHORIZATION) {
        let header = header.to_str().expect("a token is text");
        let token = header.rsplit(' ').next().unwrap_or(header);
        let text = format!("{authenticator:?} {first:?}");
        assert!(!text.contains(token), "a token shows in Debug");
    }
}

/// Verifies the contract of a [`Grant`] whose request is admitted. `revoke` takes the caller's access away for good.
///
/// # Panics
/// If the grant violates the contract.
pub async fn grant(grant: &dyn Grant, revoke: impl AsyncFnOnce()) {
    // Dropped at its first wait: this must have no effect.
    let _ = grant.standing().now_or_never();
    for standing in join_all((0..8).map(|_| grant.standing())).await {
        assert_eq!(standing, Standing::Holds);
    }
    revoke().await;
    let _ = grant.standing().now_or_never();
    for _ in 0..2 {
        assert_eq!(grant.standing().await, Standing::Lost);
    }
}
