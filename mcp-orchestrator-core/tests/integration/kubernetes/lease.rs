//! Tests that a Lease has at most one holder at a time.

use k8s_openapi::api::coordination::v1::Lease;
use mcp_orchestrator_core::runtime::kubernetes::{LeaderElector, LeaseOptions, LeaseStatus};

use crate::kubernetes::cluster::{TestNamespace, space};
use crate::kubernetes::proxy::Proxy;

fn options(identity: &str) -> LeaseOptions {
    LeaseOptions {
        name: "gateway".to_owned(),
        identity: identity.to_owned(),
        labels: [("app".to_owned(), "test".to_owned())].into(),
        owner: None,
    }
}

async fn until(holder: &LeaderElector, wanted: &LeaseStatus) {
    let mut held = holder.held();
    held.wait_for(|held| held == wanted).await.unwrap();
    assert_eq!(*holder.acts().borrow(), wanted.is_ours());
}

async fn recorded(space: &TestNamespace) -> (Option<String>, Option<i32>) {
    let lease = space.api::<Lease>().get("gateway").await.unwrap();
    let spec = lease.spec.unwrap();
    (spec.holder_identity, spec.lease_transitions)
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn second_holder_takes_over_when_the_first_releases_the_lease() {
    let space = space("lease").await;
    let token = space.account("gateway").await;
    space.bind("gateway").await;
    let access = space.open_as(&token).await;
    let one = LeaderElector::start(&access, options("one"));
    until(&one, &LeaseStatus::Ours).await;
    let two = LeaderElector::start(&access, options("two"));
    until(&two, &LeaseStatus::Theirs("one".to_owned())).await;
    assert_eq!(recorded(&space).await, (Some("one".to_owned()), Some(1)));
    one.release().await;
    until(&two, &LeaseStatus::Ours).await;
    assert_eq!(recorded(&space).await.0.as_deref(), Some("two"));
    // Dropped, not released: a process with the same identity takes over at once, others wait for the expiry.
    drop(two);
    let three = LeaderElector::start(&access, options("three"));
    until(&three, &LeaseStatus::Theirs("two".to_owned())).await;
    let again = LeaderElector::start(&access, options("two"));
    until(&again, &LeaseStatus::Ours).await;
    drop(again);
    until(&three, &LeaseStatus::Ours).await;
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn disconnected_holder_writes_nothing_until_it_can_renew() {
    let space = space("unsure").await;
    let proxy = Proxy::start(&space).await;
    let holder = LeaderElector::start(&proxy.access, options("one"));
    until(&holder, &LeaseStatus::Ours).await;
    proxy.close();
    let mut held = holder.held();
    held.wait_for(|held| matches!(held, LeaseStatus::Unsure(_)))
        .await
        .unwrap();
    assert!(!*holder.acts().borrow());
    proxy.open();
    until(&holder, &LeaseStatus::Ours).await;
    space.leave().await;
}
