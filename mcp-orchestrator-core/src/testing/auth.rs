//! The contract suite of [`Authenticator`].

use http::request::Parts;

use crate::auth::Authenticator;
use crate::error::ErrorKind;

/// Verifies the contract. `known` is a request that the authenticator accepts, `foreign` one that carries nothing of
/// its own.
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
    let first = authenticator.authenticate(known).await.expect("it holds");
    let first = first.expect("a known request is told");
    let again = authenticator.authenticate(known).await.expect("it holds");
    let again = again.expect("a known request is told again");
    assert_eq!(first.principal, again.principal);
    assert!(!first.principal.method.is_empty());
}
