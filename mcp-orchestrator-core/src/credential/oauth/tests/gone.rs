//! Renewals at an issuer that has moved, is gone, or refuses in unusual ways.

use super::fake::Refreshes;
use super::renewal::signed_in;
use super::*;
use crate::credential::Precondition;
use crate::credential::oauth::grant::Grant;
use crate::credential::oauth::grant::with_grant;
use crate::error::ErrorKind;

#[tokio::test]
async fn renewal_follows_the_issuer_to_a_new_token_endpoint() {
    let (setting, server, process) = signed_in(0).await;
    let issuer = setting.fake.issuer();
    // The endpoint used at sign-in is gone; the metadata names another one.
    let (stored, version) = setting.installations().get(&key()).await.unwrap().unwrap();
    let mut grant = Grant::of(&stored).unwrap().unwrap();
    grant.token_endpoint = format!("{issuer}/old-token");
    let stored = with_grant(stored, &grant).unwrap();
    setting
        .installations()
        .put(&key(), &stored, Precondition::Unchanged(version))
        .await
        .unwrap();
    let gone = (404, "text/html", "<p>x".to_owned());
    setting
        .fake
        .state()
        .pages
        .insert("/tenant/old-token".to_owned(), gone);
    assert_eq!(process.token(&server).await, "access-2");
    let (stored, _) = setting.installations().get(&key()).await.unwrap().unwrap();
    let grant = Grant::of(&stored).unwrap().unwrap();
    assert_eq!(grant.token_endpoint, format!("{issuer}/token"));
}

#[tokio::test(start_paused = true)]
async fn missing_token_endpoint_requires_sign_in_and_is_retried() {
    for (status, body) in [(404, "<p>x"), (410, "{}"), (405, ""), (200, "<p>sign in")] {
        let (setting, server, process) = signed_in(0).await;
        setting.fake.state().refreshes = Refreshes::Answer(status, body.to_owned());
        let first = process.resolve(&server, None).await.unwrap_err();
        assert_eq!(first.kind(), ErrorKind::Unavailable, "{status}: {first}");
        tokio::time::advance(Duration::from_secs(6)).await;
        let second = process.resolve(&server, None).await.unwrap_err();
        assert_eq!(
            second.kind(),
            ErrorKind::CredentialExpired,
            "{status}: {second}"
        );
        assert!(second.to_string().contains("sign in again"), "{second}");
        // It was a temporary outage after all.
        setting.fake.state().refreshes = Refreshes::Well;
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(process.token(&server).await, "access-2");
    }
}

#[tokio::test]
async fn error_body_with_status_200_is_a_refusal() {
    for body in [
        r#"{"error":"bad_refresh_token","error_description":"canary"}"#,
        r#"{"ok":false,"error":"token_revoked"}"#,
        r#"{"error":{"code":"invalid_grant"}}"#,
    ] {
        let (setting, server, process) = signed_in(0).await;
        setting.fake.state().refreshes = Refreshes::Answer(200, body.to_owned());
        let error = process.resolve(&server, None).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::CredentialExpired,
            "{body}: {error}"
        );
        assert!(error.to_string().contains("sign in again"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
