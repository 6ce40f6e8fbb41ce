//! The contract suite of [`SecretReader`].

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use crate::credential::{SecretData, SecretReader};

/// Verifies the contract. `known` is a Secret that exists, with its data; `absent` is the name of none.
///
/// # Panics
/// If the reader violates the contract.
pub async fn secret_reader(
    reader: &dyn SecretReader,
    (known, data): (&str, &[(&str, &[u8])]),
    absent: &str,
) {
    let none = reader.read(absent).await.expect("absent is no error");
    assert!(none.is_none(), "a Secret that does not exist has no data");
    // Dropped at its first wait: later reads must not be affected.
    drop(reader.read(known).now_or_never());
    for found in join_all((0..8).map(|_| reader.read(known))).await {
        let found = found.expect("read").expect("the Secret exists");
        assert_eq!(exposed(&found), data, "all keys, with their exact bytes");
        for (_, value) in data {
            let text = String::from_utf8_lossy(value.trim_ascii());
            let shown = format!("{reader:?} {found:?}");
            assert!(
                text.is_empty() || !shown.contains(&*text),
                "a secret shows in Debug"
            );
        }
    }
    let none = reader.read(absent).await.expect("absent is no error");
    assert!(none.is_none(), "reading does not create a Secret");
}

fn exposed(data: &SecretData) -> Vec<(&str, &[u8])> {
    data.iter()
        .map(|(key, value)| (key.as_str(), value.expose_secret()))
        .collect()
}
