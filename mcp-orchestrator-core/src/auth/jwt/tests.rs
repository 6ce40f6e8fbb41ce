//! Accepted and rejected tokens, against a real issuer on a loopback port.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::testing::issuer::{Answers, Signing, TestIssuer};

const AUDIENCE: &str = "https://mcp.example.com/mcp";

fn options(issuer: &TestIssuer) -> JwtOptions {
    let audience = Audience::Gateway("https://mcp.example.com".parse().unwrap());
    let mut options = JwtOptions::new(issuer.url(), audience);
    options.fetch.pause = Duration::ZERO;
    options
}

fn request(path: &str, token: Option<&str>) -> Parts {
    let mut request = http::Request::builder().uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).unwrap().into_parts().0
}

async fn ask(jwt: &JwtAuthenticator, token: &str) -> Result<Option<Authenticated>> {
    jwt.authenticate(&request("/mcp", Some(token))).await
}

/// Returns the kind and the text of the error.
async fn refused(jwt: &JwtAuthenticator, token: &str) -> (ErrorKind, String) {
    let error = ask(jwt, token).await.expect_err("it is refused");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn jwt_authenticator_upholds_the_authenticator_contract() {
    let issuer = TestIssuer::start().await;
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    let token = issuer.token(&issuer.claims("ann", AUDIENCE));
    let known = request("/mcp", Some(&token));
    for foreign in [request("/mcp", None), request("/mcp", Some("opaque"))] {
        crate::testing::auth::suite(&jwt, &known, &foreign).await;
    }
    let other = TestIssuer::start().await;
    let token = other.token(&other.claims("ann", AUDIENCE));
    crate::testing::auth::suite(&jwt, &known, &request("/mcp", Some(&token))).await;
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn claims_become_user_and_teams() {
    let issuer = TestIssuer::start().await;
    let mut options = options(&issuer);
    options.user_claim = "profile.email".to_owned();
    options.teams_claim = Some("https://x.example/groups".to_owned());
    options.prefix = "x:".to_owned();
    let jwt = JwtAuthenticator::new(options).unwrap();
    let mut claims = issuer.claims("ann", AUDIENCE);
    claims["profile"] = json!({"email": "ann@x.example"});
    claims["https://x.example/groups"] = json!(["ops", "dev", "ops", 3, ""]);
    let who = ask(&jwt, &issuer.token(&claims)).await.unwrap().unwrap();
    assert_eq!(who.principal.id.as_str(), "x:ann@x.example");
    assert_eq!(who.principal.method, "jwt");
    let teams: Vec<_> = who
        .principal
        .teams
        .iter()
        .map(|team| team.as_str())
        .collect();
    assert_eq!(teams, ["ops", "dev"]);
    assert!(who.token.is_some() && !who.admin);
    claims["https://x.example/groups"] = json!("one");
    let who = ask(&jwt, &issuer.token(&claims)).await.unwrap().unwrap();
    assert_eq!(who.principal.teams.len(), 1);
    claims["profile"] = json!({});
    let (kind, _) = refused(&jwt, &issuer.token(&claims)).await;
    assert_eq!(kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn invalid_token_is_rejected_with_the_reason() {
    let issuer = TestIssuer::start().await;
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    let good = issuer.claims("ann", AUDIENCE);
    let now = good["iat"].as_u64().unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let mut without_end = good.clone();
    without_end.as_object_mut().unwrap().remove("exp");
    let header = |name: &str, value: Value| {
        let mut header = json!({"alg": "ES256", "kid": issuer.key_id()});
        header[name] = value;
        issuer.with_header(&header, &good)
    };
    for (token, why) in [
        (with("exp", json!(now - 60)), "expired"),
        (with("exp", json!("never")), "\"exp\""),
        (issuer.token(&without_end), "\"exp\""),
        (with("nbf", json!(now + 120)), "not valid yet"),
        (with("nbf", json!("x")), "\"nbf\""),
        (with("aud", json!("https://other.example/mcp")), "audience"),
        (
            with("aud", json!(["a", "https://mcp.example.com/mcp/ops"])),
            "audience",
        ),
        (with("aud", json!(null)), "audience"),
        (with("sub", json!("")), "\"sub\""),
        (with("sub", json!("a b\n")), "user"),
        (issuer.signed(&good, Signing::None), "(none)"),
        (issuer.signed(&good, Signing::PublicKeyAsSecret), "(HS256)"),
        (issuer.signed(&good, Signing::Foreign), "signature"),
        (issuer.signed(&good, Signing::Unsigned), "signature"),
        (header("alg", json!("RS256")), "key"),
        (header("kid", json!("other")), "key"),
        (header("crit", json!(["b64"])), "extension"),
        (header("typ", json!("logout+jwt")), "logout+jwt"),
    ] {
        let (kind, told) = refused(&jwt, &token).await;
        assert_eq!(kind, ErrorKind::Unauthenticated, "{told}");
        assert!(told.contains(why), "{told:?} does not say {why:?}");
        assert!(!told.contains(&token[..20]), "{told}");
    }
    // Rejected again: a rejected token is not remembered as valid.
    assert!(
        refused(&jwt, &with("exp", json!(now - 60)))
            .await
            .1
            .contains("expired")
    );
    assert!(ask(&jwt, &issuer.token(&good)).await.unwrap().is_some());
}

#[tokio::test]
async fn token_for_one_gateway_is_rejected_by_another() {
    let issuer = TestIssuer::start().await;
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    let token = issuer.token(&issuer.claims("ann", "https://mcp.example.com/mcp/ops"));
    let at = |path| request(path, Some(&token));
    assert!(jwt.authenticate(&at("/mcp/ops")).await.unwrap().is_some());
    // The token is remembered by now and is still rejected for this gateway.
    let error = jwt.authenticate(&at("/mcp")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn missing_scope_is_reported_as_insufficient_scope() {
    let issuer = TestIssuer::start().await;
    let mut options = options(&issuer);
    options.scopes = vec!["mcp".into(), "tools".into()];
    let jwt = JwtAuthenticator::new(options).unwrap();
    let mut claims = issuer.claims("ann", AUDIENCE);
    claims["scope"] = json!("openid mcp");
    let (kind, told) = refused(&jwt, &issuer.token(&claims)).await;
    assert_eq!(kind, ErrorKind::InsufficientScope);
    assert!(told.contains("tools"), "{told}");
    for (name, value) in [("scope", json!("mcp tools")), ("scp", json!(["tools"]))] {
        claims[name] = value;
        assert!(ask(&jwt, &issuer.token(&claims)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn rotated_keys_replace_the_old_ones() {
    let issuer = TestIssuer::start().await;
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    let old = issuer.token(&issuer.claims("ann", AUDIENCE));
    assert!(ask(&jwt, &old).await.unwrap().is_some());
    issuer.rotate();
    // An unknown key triggers a fetch; the old key is then gone, also for tokens that were verified with it.
    let new = issuer.token(&issuer.claims("ann", AUDIENCE));
    assert!(ask(&jwt, &new).await.unwrap().is_some());
    let (kind, told) = refused(&jwt, &old).await;
    assert_eq!(kind, ErrorKind::Unauthenticated);
    assert!(told.contains("does not list"), "{told}");
    assert!(ask(&jwt, &new).await.unwrap().is_some());
}

#[tokio::test]
async fn key_fetches_are_coalesced_and_rate_limited() {
    let issuer = TestIssuer::start().await;
    let mut options = options(&issuer);
    options.fetch.pause = Duration::from_hours(1);
    let jwt = JwtAuthenticator::new(options).unwrap();
    let tokens: Vec<_> = (0..50)
        .map(|number| issuer.token(&issuer.claims(&format!("user-{number}"), AUDIENCE)))
        .collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| ask(&jwt, token))).await;
    assert!(all.into_iter().all(|who| who.unwrap().is_some()));
    assert_eq!(issuer.asked(), 1);
    for number in 0..20 {
        let header = json!({"alg": "ES256", "kid": format!("unknown-{number}")});
        let token = issuer.with_header(&header, &issuer.claims("ann", AUDIENCE));
        assert!(refused(&jwt, &token).await.1.contains("does not list"));
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn issuer_recovers_after_an_outage() {
    let issuer = TestIssuer::start().await;
    issuer.answers(Answers::Down);
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    assert!(jwt.fetch().await.is_err());
    let token = issuer.token(&issuer.claims("ann", AUDIENCE));
    let error = ask(&jwt, &token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallerUnknowable);
    assert!(error.retry_after().is_some());
    let told = error.to_string();
    assert!(
        told.contains(issuer.url()) && told.contains("503"),
        "{told}"
    );
    issuer.answers(Answers::Well);
    assert!(ask(&jwt, &token).await.unwrap().is_some());
    // Down again: cached keys stay in use, also for tokens not seen before. A token with an unknown key cannot be
    // verified.
    issuer.answers(Answers::Down);
    let other = issuer.token(&issuer.claims("bob", AUDIENCE));
    assert!(ask(&jwt, &other).await.unwrap().is_some());
    issuer.rotate();
    let unknown = issuer.token(&issuer.claims("bob", AUDIENCE));
    assert_eq!(refused(&jwt, &unknown).await.0, ErrorKind::CallerUnknowable);
}

#[tokio::test]
async fn stale_keys_are_refreshed_in_the_background() {
    let issuer = TestIssuer::start().await;
    let mut options = options(&issuer);
    options.fetch.fresh = Duration::ZERO;
    let jwt = JwtAuthenticator::new(options).unwrap();
    let token = issuer.token(&issuer.claims("ann", AUDIENCE));
    assert!(ask(&jwt, &token).await.unwrap().is_some());
    issuer.rotate();
    // Each request finds the keys old; once a background refresh has seen the rotation, the token is rejected.
    let refused = async {
        loop {
            if ask(&jwt, &token).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused)
        .await
        .unwrap();
}

#[tokio::test]
async fn metadata_is_discovered_and_must_match_the_issuer() {
    let issuer = TestIssuer::start().await;
    let token = issuer.token(&issuer.claims("ann", AUDIENCE));
    issuer.answers(Answers::OAuthOnly);
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    assert!(ask(&jwt, &token).await.unwrap().is_some());
    issuer.answers(Answers::AsAnother);
    let jwt = JwtAuthenticator::new(options(&issuer)).unwrap();
    let (kind, told) = refused(&jwt, &token).await;
    assert_eq!(kind, ErrorKind::CallerUnknowable);
    assert!(told.contains("http://another.example"), "{told}");
    // A configured `jwks_url` needs no metadata.
    let mut options = options(&issuer);
    options.jwks_url = Some(format!("{}/keys", issuer.url()));
    let jwt = JwtAuthenticator::new(options).unwrap();
    assert!(ask(&jwt, &token).await.unwrap().is_some());
}

#[test]
fn options_that_accept_no_token_are_rejected() {
    let audience = || Audience::OneOf(vec!["mcp".into()]);
    assert!(JwtAuthenticator::new(JwtOptions::new("idp.example.com", audience())).is_err());
    let none = JwtOptions::new("https://idp.example.com", Audience::OneOf(Vec::new()));
    assert!(JwtAuthenticator::new(none).is_err());
    let mut unsigned = JwtOptions::new("https://idp.example.com", audience());
    unsigned.algorithms.clear();
    assert!(JwtAuthenticator::new(unsigned).is_err());
}
