//! The suite of [`Authenticator`].

use http::request::Parts;

use crate::auth::Authenticator;
use crate::error::ErrorKind;

/// All that the contract promises: `known` carries what this authenticator knows, `foreign` nothing of it.
///
/// # Panics
/// Where the authenticator breaks its contract.
pub async fn suite(authenticator: &dyn Authenticator, known: &Parts, foreign: &Parts) {
    match authenticator.authenticate(foreign).await {
        Ok(None) => {}
        Ok(Some(who)) => panic!("a foreign request is taken for {who:?}"),
        // The last of a chain.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthenticated),
    }
    let first = authenticator.authenticate(known).await.expect("it holds");
    let first = first.expect("a known request is told");
    let again = authenticator.authenticate(known).await.expect("it holds");
    let again = again.expect("a known request is told again");
    assert_eq!(first.principal, again.principal);
    assert!(!first.principal.method.is_empty());
}
