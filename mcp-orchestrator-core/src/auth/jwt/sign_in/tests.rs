use serde_json::{Value, json};

use super::*;
use crate::testing::issuer::{Signing, TestIssuer};

const CLIENT: &str = "gateway";

fn sign_in(issuer: &TestIssuer) -> SignIn {
    let audience = Audience::Gateway("https://mcp.example.com".parse().unwrap());
    let mut options = JwtOptions::new(issuer.url(), audience);
    options.prefix = "x:".to_owned();
    options.scopes = vec!["mcp".to_owned()];
    SignIn::new(
        options,
        CLIENT.to_owned(),
        Some("s e:cret".into()),
        Connector::default(),
    )
    .unwrap()
}

fn flow() -> SignInFlow {
    let text = |text: &str| text.to_owned();
    SignInFlow {
        state: text("state"),
        nonce: text("nonce"),
        verifier: text("verifier"),
        redirect_uri: text("https://mcp.example.com/signin/callback"),
    }
}

fn claims(issuer: &TestIssuer, more: &Value) -> Value {
    let mut claims = issuer.claims("ann", CLIENT);
    claims["nonce"] = "nonce".into();
    let more = more.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(more);
    claims
}

#[tokio::test]
async fn matching_id_token_identifies_the_user() {
    let issuer = TestIssuer::start().await;
    let (sign_in, flow) = (sign_in(&issuer), flow());
    // The required scopes apply to access tokens, not to this ID token.
    let token = issuer.token(&claims(&issuer, &json!({ "azp": CLIENT })));
    let who = sign_in.verify(&flow, &token.into()).await.unwrap();
    assert_eq!(who.id.as_str(), "x:ann");
}

#[tokio::test]
async fn id_token_of_another_sign_in_is_rejected() {
    let issuer = TestIssuer::start().await;
    let (sign_in, flow) = (sign_in(&issuer), flow());
    let wrong = [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "azp": "another" }),
        json!({ "aud": "https://mcp.example.com/mcp" }),
        json!({ "iss": "https://another.example" }),
        json!({ "exp": 1 }),
    ];
    for more in wrong {
        let token = issuer.token(&claims(&issuer, &more));
        let verified = sign_in.verify(&flow, &token.into()).await;
        assert!(verified.is_err(), "{more}");
    }
    let plain = claims(&issuer, &json!({}));
    for signing in [
        Signing::None,
        Signing::PublicKeyAsSecret,
        Signing::Foreign,
        Signing::Unsigned,
    ] {
        let token = issuer.signed(&plain, signing);
        assert!(
            sign_in.verify(&flow, &token.into()).await.is_err(),
            "{signing:?}"
        );
    }
}

#[tokio::test]
async fn response_to_another_sign_in_is_rejected() {
    let issuer = TestIssuer::start().await;
    let (sign_in, flow) = (sign_in(&issuer), flow());
    let answer = |state: &str, from: &str, error: Option<&str>| SignInAnswer {
        code: Some("code".into()),
        state: Some(state.to_owned()),
        issuer: Some(from.to_owned()),
        error: error.map(str::to_owned),
    };
    let own = issuer.url();
    let cases = [
        (SignInAnswer::default(), "not begun in this browser"),
        (answer("another", own, None), "not begun in this browser"),
        (
            answer("state", "https://another.example", None),
            "another issuer",
        ),
        (
            answer("state", own, Some("access_denied<b>")),
            "access_deniedb",
        ),
        // The issuer's metadata names no token endpoint.
        (answer("state", own, None), "token_endpoint"),
    ];
    for (answer, says) in cases {
        let error = sign_in.finish(&flow, answer).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
