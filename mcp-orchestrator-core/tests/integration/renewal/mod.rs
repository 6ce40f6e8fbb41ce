//! Expiring tokens: testing a credential, the output of `explain`, and the instances that hold such a token.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod site;

use std::time::Duration;

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::server::Injection;

use self::site::{Answers, HOUR, Site, header};

#[tokio::test]
async fn expired_token_is_renewed_before_use() {
    let site = Site::new(Injection::Env("TOKEN".into()), Answers::Newer).await;
    site.install(Duration::ZERO, Some(Duration::ZERO)).await;
    assert_eq!(site.test().await.unwrap(), 1);
    assert_eq!(
        site.tokens(),
        ["token-1"],
        "the one that is over starts nothing"
    );
}

#[tokio::test]
async fn failed_renewal_is_reported_to_the_caller() {
    let site = Site::new(Injection::Env("TOKEN".into()), Answers::NotNow).await;
    site.install(Duration::ZERO, Some(Duration::ZERO)).await;
    let error = site.test().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the issuer sleeps"), "{error}");
    assert!(site.tokens().is_empty());
}

#[tokio::test]
async fn explain_shows_token_expiry_and_renewal_outcome() {
    let site = Site::new(header(), Answers::NotNow).await;
    site.install(HOUR, Some(HOUR / 2)).await;
    let text = site.explain().await;
    assert!(
        text.contains("it ends at 2") && text.contains("it is renewed by itself, from 2"),
        "{text}"
    );
    assert!(!text.contains("failed"), "{text}");
    site.install(HOUR, Some(Duration::ZERO)).await;
    site.explain().await;
    site.failed().await;
    let text = site.explain().await;
    assert!(
        text.contains("the last renewal failed: the issuer sleeps"),
        "{text}"
    );
    site.install(HOUR, None).await;
    let text = site.explain().await;
    assert!(text.contains("and is not renewed"), "{text}");
    site.end("(invalid_grant)").await;
    let text = site.explain().await;
    assert!(
        text.contains("cannot be renewed any more, (invalid_grant)"),
        "{text}"
    );
}

fn environment() -> Injection {
    Injection::Env("TOKEN".into())
}

#[tokio::test]
async fn instance_with_an_old_token_is_replaced_by_one_with_the_new_token() {
    let site = Site::new(environment(), Answers::Newer).await;
    site.install(HOUR, Some(HOUR)).await;
    let mut holding = Box::pin(site.call("hold"));
    tokio::select! {
        held = &mut holding => panic!("nobody let it go: {held:?}"),
        () = site.holding(1) => {}
    }
    site.renew().await;
    site.started(2).await;
    while site.call("whoami").await.unwrap() != "\"token-1\"" {
        tokio::task::yield_now().await;
    }
    site.go();
    assert_eq!(holding.await.unwrap(), "\"token-0\"", "no call is lost");
    site.ended(1).await;
    assert_eq!(site.call("whoami").await.unwrap(), "\"token-1\"");
    assert_eq!(site.tokens(), ["token-0", "token-1"]);
}

#[tokio::test]
async fn call_never_reaches_an_instance_with_an_expired_token() {
    let site = Site::new(environment(), Answers::Newer).await;
    site.install(Duration::from_millis(300), Some(HOUR)).await;
    assert_eq!(site.call("whoami").await.unwrap(), "\"token-0\"");
    site.over().await;
    assert_eq!(site.call("whoami").await.unwrap(), "\"token-1\"");
    assert_eq!(site.tokens(), ["token-0", "token-1"]);
}

#[tokio::test(start_paused = true)]
async fn token_is_renewed_before_expiry_only_for_instances_in_use() {
    let site = Site::new(environment(), Answers::Newer).await;
    site.install(HOUR, Some(HOUR)).await;
    assert_eq!(site.call("whoami").await.unwrap(), "\"token-0\"");
    // Time passes without a call.
    site.asked(1).await;
    site.ended(1).await;
    assert_eq!(site.tokens(), ["token-0", "token-1"]);
    // No call has arrived since, so the next token stops the instance without starting another.
    site.ended(2).await;
    assert_eq!(site.tokens(), ["token-0", "token-1"]);
}

#[tokio::test]
async fn renewed_header_token_restarts_no_instance() {
    let site = Site::new(header(), Answers::Newer).await;
    site.install(HOUR, Some(Duration::ZERO)).await;
    for _ in 0..3 {
        site.call("whoami").await.unwrap();
        site.asked(1).await;
    }
    assert_eq!(site.tokens(), ["token-0"]);
}
