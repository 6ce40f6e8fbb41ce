//! The contract suite on the reader of Secrets.

use super::*;
use crate::kubernetes::tests::api_server::{SECRET, access, with_one_secret};

#[tokio::test]
async fn cluster_secrets_uphold_the_reader_contract() {
    let (_server, address) = with_one_secret().await;
    let secrets = ClusterSecrets::new(access(&address).await);
    crate::testing::credential::secret_reader(&secrets, ("git", &SECRET), "none").await;
}
