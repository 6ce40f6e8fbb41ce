//! The contract suite of [`StateStore`].

use bytes::Bytes;

use crate::state::StateStore;

/// Verifies the contract, on an empty store.
///
/// # Panics
/// If the store violates the contract.
pub async fn suite(store: &dyn StateStore) {
    assert_eq!(store.get("lists.git").await.expect("get"), None);
    store.remove("lists.git").await.expect("absent is Ok");
    for document in [&b"one"[..], b"", b"two\n\0"] {
        store
            .put("lists.git", Bytes::from_static(document))
            .await
            .expect("put");
        assert_eq!(
            store.get("lists.git").await.expect("get").as_deref(),
            Some(document)
        );
    }
    store.put("a", Bytes::from_static(b"1")).await.expect("put");
    assert_eq!(store.names().await.expect("names"), ["a", "lists.git"]);
    store.remove("lists.git").await.expect("remove");
    assert_eq!(store.get("lists.git").await.expect("get"), None);
    assert_eq!(store.names().await.expect("names"), ["a"]);
}
