//! A waiting message is authorized again before it is sent: a call that waits for a credential or for an instance may
//! have lost the token, the membership, the view or the tool that allowed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::auth::{Grant, Standing};
use mcp_orchestrator_core::call::Reply;
use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::{GatewaySpec, ToolFilter};
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::session::Session;
use crate::authority::site::{
    Site, drain, entry, gateway, gateway_id, hiding, next, server, team, user,
};
use crate::authority::wait::{until, within};

/// A token that a test can revoke.
#[derive(Debug, Default)]
pub(crate) struct Token(AtomicU8);

impl Token {
    pub(crate) fn becomes(&self, standing: Standing) {
        self.0.store(standing as u8, Ordering::Release);
    }
}

#[async_trait]
impl Grant for Token {
    async fn standing(&self) -> Standing {
        let all = [
            Standing::Holds,
            Standing::Expired,
            Standing::Lost,
            Standing::Unknown,
        ];
        let now = usize::from(self.0.load(Ordering::Acquire));
        all.into_iter().find(|it| *it as usize == now).unwrap()
    }
}

/// Binds a session to a token.
pub(crate) fn bound(session: &Session<'_>, authorization: &'static str) -> Arc<Token> {
    let token = Arc::new(Token::default());
    let grant: Arc<dyn Grant> = Arc::<Token>::clone(&token);
    let header = http::HeaderValue::from_static(authorization);
    let principal = session.site.principal(&session.name);
    let at = gateway_id(&session.gateway);
    let orchestrator = &session.site.orchestrator;
    orchestrator
        .bind(&principal, &at, &session.id, Some(&header), || grant)
        .unwrap();
    token
}

fn shows(users: &[&str], teams: &[&str], tools: ToolFilter) -> GatewaySpec {
    let x = entry("x", CredentialRule::Resolve, tools);
    let y = entry("y", CredentialRule::None, ToolFilter::All);
    gateway("g", users, teams, vec![x, y])
}

async fn site() -> Site {
    let servers = vec![
        server("x", Isolation::Shared, true),
        server("y", Isolation::Shared, false),
    ];
    let site = Site::new(servers, Limits::default()).await;
    site.gateways([shows(&["ann"], &["ops"], ToolFilter::All)]);
    site.teams(&[("ops", &["bob"])]);
    site
}

/// An event that revokes the right to a call.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Revoked,
    RevokedUnnoticed,
    Expired,
    Membership,
    Team,
    Server,
    Tool,
    Reload,
}

impl Loss {
    fn happens(self, site: &Site, token: &Token) {
        match self {
            Self::Revoked => {
                token.becomes(Standing::Lost);
                site.revision.advance();
            }
            Self::RevokedUnnoticed => token.becomes(Standing::Lost),
            Self::Expired => token.becomes(Standing::Expired),
            Self::Membership => site.gateways([shows(&["eve"], &[], ToolFilter::All)]),
            Self::Team => site.teams(&[("ops", &[])]),
            Self::Server => {
                let y = entry("y", CredentialRule::None, ToolFilter::All);
                site.gateways([gateway("g", &["ann"], &["ops"], vec![y])]);
            }
            Self::Tool => site.gateways([shows(&["ann"], &["ops"], hiding("echo"))]),
            Self::Reload => {
                let y = Arc::new(server("y", Isolation::Shared, false));
                site.orchestrator.apply([y]);
            }
        }
    }
}

const ECHO: &str = "x__echo";

fn echo() -> Value {
    json!({ "name": ECHO, "arguments": {}, "_meta": { "mark": "late" } })
}

fn is_late(site: &Site) -> bool {
    let got = site.mind.got();
    got.iter()
        .any(|got| got.message["params"]["_meta"]["mark"] == "late")
}

/// Reads a reply to its end.
async fn ends(mut reply: Reply) {
    while next(&mut reply).await.is_some() {}
}

async fn parked<'a>(site: &'a Site, name: &str) -> (Session<'a>, Arc<Token>, Reply) {
    let able = json!({ "elicitation": { "url": {} } });
    let session = site.session_with(name, "g", &able).await.unwrap();
    let token = bound(&session, "Bearer 1");
    let mut call = session.begin(7, "tools/call", &echo()).await.unwrap();
    let asked = next(&mut call).await.unwrap();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    (session, token, call)
}

#[tokio::test]
async fn a_call_that_waits_for_a_credential_is_not_sent_once_its_right_is_lost() {
    for loss in [
        Loss::Revoked,
        Loss::RevokedUnnoticed,
        Loss::Expired,
        Loss::Membership,
        Loss::Team,
        Loss::Server,
        Loss::Tool,
        Loss::Reload,
    ] {
        let site = site().await;
        let name = if matches!(loss, Loss::Team) {
            "bob"
        } else {
            "ann"
        };
        let (_session, token, call) = parked(&site, name).await;
        loss.happens(&site, &token);
        site.install("x", &Owner::User(user(name)), "r1").await;
        ends(call).await;
        assert!(!is_late(&site), "{loss:?}");
    }
}

#[tokio::test]
async fn call_waiting_for_a_credential_ends_when_its_right_is_revoked() {
    for loss in [Loss::Revoked, Loss::Membership, Loss::Server, Loss::Reload] {
        let site = site().await;
        let (_session, token, call) = parked(&site, "ann").await;
        loss.happens(&site, &token);
        // Nothing is installed, so the call would otherwise wait for 45 seconds.
        ends(call).await;
    }
}

#[tokio::test]
async fn call_with_a_valid_token_continues_when_other_tokens_are_revoked() {
    let site = site().await;
    let (_session, token, mut call) = parked(&site, "ann").await;
    site.teams(&[("ops", &[])]);
    token.becomes(Standing::Unknown);
    site.revision.advance();
    site.install("x", &Owner::User(user("ann")), "r1").await;
    let answer = loop {
        let message = next(&mut call).await.unwrap();
        if message["id"] == 7 {
            break message;
        }
    };
    assert_eq!(answer["result"]["owner"], "user/ann", "{answer}");
    assert!(is_late(&site));
}

/// Covers calls and subscriptions with an instance that has not answered its handshake.
#[tokio::test]
async fn message_waiting_for_an_instance_is_dropped_when_its_right_is_revoked() {
    let losses = [
        Loss::Revoked,
        Loss::RevokedUnnoticed,
        Loss::Expired,
        Loss::Membership,
        Loss::Team,
        Loss::Server,
        Loss::Tool,
        Loss::Reload,
    ];
    for (loss, modern) in losses
        .into_iter()
        .flat_map(|loss| [(loss, false), (loss, true)])
    {
        let by_token = matches!(loss, Loss::Revoked | Loss::RevokedUnnoticed | Loss::Expired);
        if modern && by_token {
            // The component that serves a modern request checks its admission.
            continue;
        }
        let site = site().await;
        let name = if matches!(loss, Loss::Team) {
            "bob"
        } else {
            "ann"
        };
        let session = site.session(name, "g").await.unwrap();
        let token = bound(&session, "Bearer 1");
        site.mind.hold("x");
        site.install("x", &Owner::Organization, "r1").await;
        let mark = json!({ "mark": "late" });
        let call = async {
            if modern {
                let _ = site.modern(name, "g", ECHO, &mark).await;
            } else {
                let _ = session.request(7, "tools/call", &echo()).await;
            }
        };
        let lose = async {
            until("the start", || site.mind.started("x") > 0).await;
            loss.happens(&site, &token);
            site.mind.let_go("x");
        };
        within("the call and the loss", async {
            tokio::join!(call, lose);
        })
        .await;
        assert!(!is_late(&site), "{loss:?}, modern: {modern}");
    }
}

#[tokio::test]
async fn a_resource_is_not_subscribed_to_once_the_right_to_it_is_lost() {
    for (loss, modern) in [
        (Loss::Membership, false),
        (Loss::Membership, true),
        (Loss::Team, false),
        (Loss::Team, true),
        (Loss::Server, false),
        (Loss::Server, true),
    ] {
        let site = site().await;
        let x = entry("x", CredentialRule::Resolve, ToolFilter::All);
        site.gateways([gateway("g", &[], &["ops"], vec![x])]);
        let bob = site.session("bob", "g").await.unwrap();
        site.mind.hold("x");
        site.install("x", &Owner::Team(team("ops")), "r1").await;
        let token = Token::default();
        let uri = "mem://x/a";
        let subscribe = async {
            if modern {
                let wants = json!({ "resourceSubscriptions": [uri] });
                drop(site.listen("bob", "g", &wants).await);
            } else {
                let uri = json!({ "uri": uri });
                let _ = bob.request(3, "resources/subscribe", &uri).await;
            }
        };
        let lose = async {
            until("the start", || site.mind.started("x") > 0).await;
            loss.happens(&site, &token);
            site.mind.let_go("x");
        };
        within("the subscription and the loss", async {
            tokio::join!(subscribe, lose);
        })
        .await;
        let sent = site.mind.got_of("resources/subscribe");
        assert!(sent.is_empty(), "{loss:?}, modern: {modern}: {sent:?}");
    }
}

#[tokio::test]
async fn a_session_ends_with_the_token_of_its_last_request() {
    let site = site().await;
    let uri = json!({ "uri": "mem://y/a" });
    let mut open = Vec::new();
    for _ in 0..4 {
        let session = site.session("ann", "g").await.unwrap();
        session.request(1, "tools/list", &json!({})).await.unwrap();
        let token = bound(&session, "Bearer 1");
        session
            .request(2, "resources/subscribe", &uri)
            .await
            .unwrap();
        let stream = session.listen().await.unwrap();
        open.push((session, token, stream));
    }
    let [revoked, expired, unknown, newer] = &mut open[..] else {
        panic!("four sessions are open");
    };
    revoked.1.becomes(Standing::Lost);
    expired.1.becomes(Standing::Expired);
    unknown.1.becomes(Standing::Unknown);
    // The last session has a new token since before its first one was revoked.
    newer.1.becomes(Standing::Lost);
    bound(&newer.0, "Bearer 2");
    site.revision.advance();
    while next(&mut revoked.2).await.is_some() {}
    let gone = revoked.0.request(3, "ping", &json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SessionNotFound);
    for (session, _, stream) in [&mut *expired, &mut *unknown, &mut *newer] {
        session.request(3, "ping", &json!({})).await.unwrap();
        drain(stream);
    }
    assert!(!site.mind.subscribed().is_empty());
    for (session, ..) in [expired, unknown, newer] {
        bound(session, "Bearer 3").becomes(Standing::Lost);
    }
    site.revision.advance();
    until("the end of the subscriptions", || {
        site.mind.subscribed().is_empty()
    })
    .await;
}

#[tokio::test]
async fn call_of_a_revoked_token_ends_although_its_session_has_another_token() {
    let site = site().await;
    let (session, token, call) = parked(&site, "ann").await;
    bound(&session, "Bearer 2");
    token.becomes(Standing::Lost);
    site.revision.advance();
    ends(call).await;
    session.request(8, "ping", &json!({})).await.unwrap();
    site.install("x", &Owner::User(user("ann")), "r1").await;
    assert!(!is_late(&site));
}
