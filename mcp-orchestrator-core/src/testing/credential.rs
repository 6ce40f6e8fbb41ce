//! The contract suites of [`CredentialResolver`], [`CredentialStore`](crate::credential::CredentialStore),
//! [`SecretReader`](crate::credential::SecretReader) and [`Renewal`](crate::credential::Renewal).

mod renewal;
mod secret_reader;
mod store;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

pub use self::renewal::renewal;
pub use self::secret_reader::secret_reader;
pub use self::store::{shared, store};
use crate::credential::{Credential, CredentialRequest, CredentialResolver};
use crate::error::ErrorKind;
use crate::id::SlotName;

/// Verifies a resolver's contract. `known` is a request that it answers, `foreign` one that is not its own.
///
/// # Panics
/// If the resolver violates the contract.
pub async fn resolver(
    resolver: &dyn CredentialResolver,
    known: CredentialRequest<'_>,
    foreign: CredentialRequest<'_>,
) {
    let none = resolver
        .resolve(foreign)
        .await
        .expect("not mine is no error");
    assert!(none.is_none(), "a foreign request is answered with None");

    // Dropped at its first wait: later requests must not be affected.
    drop(resolver.resolve(known).now_or_never());
    let first = resolver.resolve(known).await.expect("resolve");
    let first = first.expect("a known request is answered");
    assert!(resolver.covers(&known), "a known request is covered");
    for slot in known.server.slots.iter().filter(|slot| slot.required) {
        assert!(first.values.contains_key(&slot.name), "{}", slot.name);
    }
    let text = format!("{resolver:?} {first:?}");
    for value in first.values.values() {
        assert!(
            !text.contains(value.expose_secret()),
            "a secret shows in Debug"
        );
        assert!(
            !first.revision.as_str().contains(value.expose_secret()),
            "a secret shows in the revision"
        );
    }

    for again in join_all((0..8).map(|_| resolver.resolve(known))).await {
        let again = again.expect("resolve").expect("a credential");
        assert_eq!(again.owner, first.owner);
        if again.revision == first.revision && again.generation == first.generation {
            assert!(same_values(&again, &first), "one generation, two values");
        }
    }

    let refused = CredentialRequest {
        rejected: Some((&first.revision, first.generation)),
        ..known
    };
    assert!(resolver.covers(&refused), "a rejection is covered");
    match resolver.resolve(refused).await {
        Ok(Some(next)) => assert!(
            (&next.revision, next.generation) != (&first.revision, first.generation),
            "what was rejected is answered again"
        ),
        Ok(None) => panic!("what was mine is mine when it is rejected"),
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::CredentialRejected
                    | ErrorKind::CredentialExpired
                    | ErrorKind::CredentialMissing
            ),
            "{error:?}"
        ),
    }
}

fn same_values(one: &Credential, other: &Credential) -> bool {
    let pairs = |credential: &Credential| -> Vec<(SlotName, String)> {
        let values = credential.values.iter();
        values
            .map(|(slot, value)| (slot.clone(), value.expose_secret().to_owned()))
            .collect()
    };
    pairs(one) == pairs(other)
}
