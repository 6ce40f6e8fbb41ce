//! Renewals happen once and in time, and their failures are reported.

use std::time::SystemTime;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;

use super::fake::Refreshes;
use super::*;
use crate::auth::Principal;
use crate::credential::oauth::Renewals;
use crate::credential::oauth::claim::{Claim, ClaimOutcome};
use crate::credential::oauth::grant::Grant;
use crate::credential::{
    Credential, CredentialRequest, CredentialResolver, CredentialRule, Generation,
    InstalledResolver, Precondition, Revision,
};
use crate::error::ErrorKind;
use crate::id::PrincipalId;
use crate::server::{OAuthClient, OAuthGrant};

/// A process on a store.
pub(super) struct Process {
    pub(super) resolver: Arc<InstalledResolver>,
    pub(super) renewals: Arc<Renewals>,
    tasks: TaskTracker,
    ann: Principal,
}

impl Process {
    pub(super) async fn on(setting: &Setting) -> Self {
        let renewals = Arc::new(Renewals::new(
            setting.installations(),
            options(&["127.0.0.0/8"]),
        ));
        let tasks = TaskTracker::new();
        let renewal = Arc::<Renewals>::clone(&renewals);
        let opened = InstalledResolver::open_renewing(setting.installations(), renewal, &tasks);
        Self {
            resolver: opened.await.unwrap(),
            renewals,
            tasks,
            ann: Principal::user(PrincipalId::new("ann").unwrap(), "test"),
        }
    }

    pub(super) async fn resolve(
        &self,
        server: &ServerSpec,
        rejected: Option<(&Revision, Generation)>,
    ) -> Result<Option<Arc<Credential>>> {
        let request = CredentialRequest {
            principal: &self.ann,
            server,
            rule: &CredentialRule::Resolve,
            rejected,
            token: None,
        };
        self.resolver.resolve(request).await
    }

    pub(super) async fn token(&self, server: &ServerSpec) -> String {
        let credential = self.resolve(server, None).await.unwrap().unwrap();
        credential
            .values
            .values()
            .next()
            .unwrap()
            .expose_secret()
            .to_owned()
    }
}

/// Returns a setting with a user that has a token with this lifetime, and a process that has loaded it.
pub(super) async fn signed_in(life: u64) -> (Setting, ServerSpec, Process) {
    let setting = Setting::new().await;
    setting.fake.state().life = life;
    let server = setting.server();
    let finished = setting.sign_in(&server).await.unwrap();
    let installations = setting.installations();
    installations
        .put(&key(), &finished.credential, Precondition::Absent)
        .await
        .unwrap();
    setting.fake.state().life = 3600;
    let process = Process::on(&setting).await;
    (setting, server, process)
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn renewals_uphold_the_renewal_contract() {
    for life in [0, 3600] {
        let (setting, server, process) = signed_in(life).await;
        let installations = setting.installations();
        let renewals = &*process.renewals;
        crate::testing::credential::renewal(renewals, &installations, &server, &key()).await;
        assert_eq!(
            setting.fake.count("refresh"),
            2,
            "one request for each step"
        );
    }
}

#[tokio::test]
async fn expired_token_is_renewed_once_for_concurrent_callers() {
    let (setting, server, process) = signed_in(0).await;
    let tokens = join_all((0..100).map(|_| process.token(&server))).await;
    assert!(tokens.iter().all(|token| token == "access-2"), "{tokens:?}");
    assert_eq!(setting.fake.count("refresh"), 1);
    assert_eq!(setting.fake.last("refresh")["refresh_token"], "refresh-1");
    let (stored, _) = setting.installations().get(&key()).await.unwrap().unwrap();
    assert_eq!(stored.generation, Generation(1));
    let grant = Grant::of(&stored).unwrap().unwrap();
    assert_eq!(grant.refresh_token(), Some("refresh-2"));
    assert!(
        process
            .resolve(&server, None)
            .await
            .unwrap()
            .unwrap()
            .expires_at
            > Some(SystemTime::now())
    );
}

#[tokio::test]
async fn two_processes_sharing_a_store_renew_once() {
    let (setting, server, one) = signed_in(0).await;
    let other = Process::on(&setting).await;
    let both = [&one, &other];
    let tokens = join_all((0..100).map(|call| both[call % 2].token(&server))).await;
    assert!(tokens.iter().all(|token| token == "access-2"), "{tokens:?}");
    assert_eq!(setting.fake.count("refresh"), 1);
}

#[tokio::test]
async fn rejected_token_is_renewed_unless_it_was_already_replaced() {
    let (setting, server, process) = signed_in(3600).await;
    let first = process.resolve(&server, None).await.unwrap().unwrap();
    let refused = Some((&first.revision, first.generation));
    let again = join_all((0..20).map(|_| process.resolve(&server, refused))).await;
    let newer = again
        .into_iter()
        .map(|answer| answer.unwrap().unwrap().generation);
    assert!(
        newer
            .into_iter()
            .all(|generation| generation == Generation(1))
    );
    assert_eq!(setting.fake.count("refresh"), 1);
    assert_eq!(process.token(&server).await, "access-2");
}

#[tokio::test]
async fn token_in_use_is_renewed_before_it_expires() {
    let (setting, server, process) = signed_in(3600).await;
    let installations = setting.installations();
    let (mut stored, version) = installations.get(&key()).await.unwrap().unwrap();
    stored.renewal.as_mut().unwrap().due = Some(SystemTime::now());
    installations
        .put(&key(), &stored, Precondition::Unchanged(version))
        .await
        .unwrap();
    process.resolver.seen(&key()).await.unwrap();
    let mut changes = process.resolver.changes();
    assert_eq!(
        process.token(&server).await,
        "access-1",
        "nobody waits for it"
    );
    let change = futures_util::StreamExt::next(&mut changes).await.unwrap();
    assert_eq!(change.now.unwrap().generation, Generation(1));
    assert_eq!(process.token(&server).await, "access-2");
    assert_eq!(setting.fake.count("refresh"), 1);
}

#[tokio::test]
async fn final_refusal_is_remembered_and_reported() {
    let (setting, server, process) = signed_in(0).await;
    setting.fake.state().live_refresh = None;
    for _ in 0..3 {
        let error = process.resolve(&server, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CredentialExpired);
        assert!(
            error.to_string().contains("(invalid_grant): sign in again"),
            "{error}"
        );
    }
    assert_eq!(setting.fake.count("refresh"), 1);
    let later = Process::on(&setting).await;
    let error = later.resolve(&server, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialExpired);
    assert_eq!(setting.fake.count("refresh"), 1, "others know it too");
}

#[tokio::test(start_paused = true)]
async fn temporary_failure_is_retried_later() {
    let (setting, server, process) = signed_in(0).await;
    setting.fake.state().refreshes = Refreshes::Answer(503, "canary".to_owned());
    for _ in 0..3 {
        let error = process.resolve(&server, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.retry_after().is_some() && !error.to_string().contains("canary"),
            "{error}"
        );
    }
    assert_eq!(setting.fake.count("refresh"), 1, "not at each call");
    setting.fake.state().refreshes = Refreshes::Well;
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(process.token(&server).await, "access-2");
}

#[tokio::test]
async fn cancelled_caller_does_not_cancel_the_renewal() {
    let (setting, server, process) = signed_in(0).await;
    {
        let asked = process.resolve(&server, None);
        let mut asked = std::pin::pin!(asked);
        assert!(futures_util::poll!(asked.as_mut()).is_pending());
        while setting.fake.count("refresh") == 0 {
            tokio::select! {
                _ = asked.as_mut() => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    process.renewals.finish(Duration::from_secs(20)).await;
    let (stored, _) = setting.installations().get(&key()).await.unwrap().unwrap();
    assert_eq!(stored.generation, Generation(1));
    assert!(!process.tasks.is_closed());
}

#[tokio::test]
async fn interrupted_renewal_is_reported() {
    let (setting, server, process) = signed_in(0).await;
    let (stored, _) = setting.installations().get(&key()).await.unwrap().unwrap();
    let of = Some((&stored.revision, stored.generation));
    // A process acquired the claim, received a token and crashed: its lease has expired, but the claim was not
    // released.
    let asked = Claim::ask(&*setting.store, &key(), of).await.unwrap();
    assert!(matches!(asked, ClaimOutcome::Ours(_)));
    let claim = crate::credential::oauth::claim::key(&key());
    let (mut record, _) = setting.store.get(&claim).await.unwrap().unwrap();
    let mut over: serde_json::Value = serde_json::from_str(record.value.expose_secret()).unwrap();
    over["until"]["secs_since_epoch"] = 1.into();
    record.value = over.to_string().into();
    setting
        .store
        .put(&claim, record, Precondition::Any)
        .await
        .unwrap();
    setting.fake.state().live_refresh = Some("refresh-of-the-lost-answer".into());
    let error = process.resolve(&server, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialExpired);
    assert!(
        error
            .to_string()
            .contains("ended between the issuer's answer"),
        "{error}"
    );
    assert!(setting.store.get(&claim).await.unwrap().is_none());
}

#[tokio::test]
async fn additional_scopes_are_requested_at_the_next_sign_in() {
    let (setting, server, process) = signed_in(3600).await;
    let credential = process.resolve(&server, None).await.unwrap().unwrap();
    let more = ["write".to_owned()];
    let wanted = process
        .resolver
        .wanted(&server, &credential, &more)
        .await
        .unwrap();
    assert_eq!(wanted, Some(true));
    setting.fake.state().challenge = Some("Bearer scope=\"read\"".into());
    let finished = setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.last("authorize")["scope"], "read write");
    let installations = setting.installations();
    installations
        .put(&key(), &finished.credential, Precondition::Any)
        .await
        .unwrap();
    process.resolver.seen(&key()).await.unwrap();
    let credential = process.resolve(&server, None).await.unwrap().unwrap();
    let again = process
        .resolver
        .wanted(&server, &credential, &more)
        .await
        .unwrap();
    assert_eq!(again, Some(false), "it was asked for already");
}

#[tokio::test]
async fn client_credentials_token_is_obtained_without_sign_in() {
    let setting = Setting::new().await;
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.grant = OAuthGrant::ClientCredentials;
    oauth.issuer = Some(setting.fake.issuer());
    oauth.scopes = vec!["all".into()];
    oauth.client = OAuthClient::Registered {
        id: "robot".into(),
        secret: Some("pw".into()),
    };
    let one = Process::on(&setting).await;
    let other = Process::on(&setting).await;
    let both = [&one, &other];
    let tokens = join_all((0..50).map(|call| both[call % 2].token(&server))).await;
    assert!(tokens.iter().all(|token| token == "access-1"), "{tokens:?}");
    assert_eq!(setting.fake.count("other"), 1);
    let asked = setting.fake.last("other");
    assert_eq!(
        (asked["grant_type"].as_str(), asked["scope"].as_str()),
        ("client_credentials", "all")
    );
    let found = one.resolve(&server, None).await.unwrap().unwrap();
    assert_eq!(found.owner, Owner::Organization);
    let refused = Some((&found.revision, found.generation));
    let newer = one.resolve(&server, refused).await.unwrap().unwrap();
    assert_eq!(
        (&newer.revision, newer.generation),
        (&found.revision, Generation(1))
    );
}
