//! The contract suite of [`Renewal`].

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use crate::credential::{
    Generation, InstallationKey, Installations, Renewal, Renewed, Revision, StoredCredential,
};
use crate::server::ServerSpec;

/// Number of concurrent callers.
const CALLERS: usize = 8;

/// Verifies the contract. `key` is an installation in the store that can be renewed, more than once; the store accepts
/// writes.
///
/// # Panics
/// If the renewal violates the contract.
pub async fn renewal(
    renewal: &dyn Renewal,
    installations: &Installations,
    server: &ServerSpec,
    key: &InstallationKey,
) {
    let before = stored(installations, key).await;
    let seen = Some((&before.revision, before.generation));
    // The first caller leaves at its first wait; the others get the result of one renewal.
    drop(renewal.renew(server, key, seen).now_or_never());
    let after = renewed(renewal, installations, (server, key), seen).await;
    assert_eq!(
        after.revision, before.revision,
        "it is the same installation"
    );
    assert!(after.generation > before.generation, "it is newer");

    // The store holds something newer than what this caller saw, so nothing is renewed.
    let again = renewed(renewal, installations, (server, key), seen).await;
    assert_eq!(again.generation, after.generation, "it was renewed again");

    let seen = Some((&after.revision, after.generation));
    let last = renewed(renewal, installations, (server, key), seen).await;
    assert_eq!(
        last.revision, before.revision,
        "it is the same installation"
    );
    assert!(last.generation > after.generation, "it is newer");

    let scopes = ["suite:scope".to_owned()];
    renewal.wanted(key, &scopes).await.expect("it is recorded");
    renewal.wanted(key, &scopes).await.expect("it is recorded");
    let now = stored(installations, key).await;
    assert_eq!(
        (&now.revision, now.generation),
        (&last.revision, last.generation),
        "a wish changes no credential"
    );
    let _ = renewal.protection(server).await;

    let shown = format!("{renewal:?} {before:?} {now:?}");
    for credential in [&before, &now] {
        let grant = credential.renewal.iter().map(|renewal| &renewal.grant);
        for secret in credential.values.values().chain(grant) {
            let secret = secret.expose_secret();
            assert!(!shown.contains(secret), "a secret shows in Debug");
        }
    }
}

async fn stored(installations: &Installations, key: &InstallationKey) -> StoredCredential {
    let found = installations.get(key).await.expect("get");
    found.expect("the installation").0
}

/// Lets many callers renew at the same time, and returns what is stored then.
async fn renewed(
    renewal: &dyn Renewal,
    installations: &Installations,
    (server, key): (&ServerSpec, &InstallationKey),
    seen: Option<(&Revision, Generation)>,
) -> StoredCredential {
    let answers = join_all((0..CALLERS).map(|_| renewal.renew(server, key, seen))).await;
    for answer in answers {
        let answer = answer.expect("renew");
        assert!(matches!(answer, Renewed::Newer), "{answer:?}");
    }
    stored(installations, key).await
}
