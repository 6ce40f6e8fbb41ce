use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::id::RecordName;
use crate::testing::credential;

#[tokio::test]
async fn memory_store_upholds_the_store_contract() {
    credential::store(&MemoryCredentials::new()).await;
    let shared: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
    credential::store(&*shared).await;
    credential::shared(&*shared, &*shared).await;
}

#[tokio::test]
async fn expired_records_are_removed_from_memory() {
    let store = MemoryCredentials::new();
    let key = |number: u64| {
        RecordKey::new(
            RecordKind::Link,
            RecordName::new(number.to_string()).unwrap(),
        )
    };
    let past = SystemTime::now() - Duration::from_secs(1);
    for number in 0..SWEEP_EVERY * 3 {
        let record = Record::new("{}").expiring(past);
        store
            .put(&key(number), record, Precondition::Any)
            .await
            .unwrap();
    }
    assert!(store.records().by_key.len() <= 64);
}
