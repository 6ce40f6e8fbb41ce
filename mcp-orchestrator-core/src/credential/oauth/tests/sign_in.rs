//! Sign-in, from a server's 401 to a token.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::fake::State;
use super::*;
use crate::credential::oauth::grant::Grant;
use crate::error::ErrorKind;
use crate::server::OAuthClient;

fn access(finished: &Finished) -> &str {
    let mut values = finished.credential.values.values();
    values.next().unwrap().expose_secret()
}

#[tokio::test]
async fn completed_sign_in_yields_a_token() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({"scopes_supported": ["read", "offline_access"]});
    setting.fake.state().resource_metadata = json!({"scopes_supported": ["read"]});
    let server = setting.server();
    let finished = setting.sign_in(&server).await.unwrap();
    assert_eq!(finished.key, key());
    assert_eq!(access(&finished), "access-1");
    let credential = &finished.credential;
    assert!(credential.expires_at.is_some() && credential.renewal.as_ref().unwrap().due.is_some());
    let grant = Grant::of(credential).unwrap().unwrap();
    assert_eq!(grant.refresh_token(), Some("refresh-1"));
    let (asked, resource) = (setting.fake.last("authorize"), setting.fake.server_url());
    assert_eq!(asked["scope"], "read offline_access");
    assert_eq!(
        (&asked["prompt"], &asked["resource"]),
        (&"consent".into(), &resource)
    );
    assert_eq!(asked["client_id"], "client-1");
    let code = setting.fake.last("code");
    assert_eq!(code["resource"], resource);
    assert_eq!(code["authorization"], "Basic Y2xpZW50LTE6cyUzQTE=");
    let registered = setting.fake.last("register");
    assert_eq!(registered["application_type"], "\"native\"");
    assert!(registered["grant_types"].contains("refresh_token"));
    let shown = format!("{finished:?} {:?}", setting.begin(&server).await.unwrap());
    for secret in ["access-1", "refresh-1", "s:1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn client_is_registered_once_per_issuer() {
    let setting = Setting::new().await;
    let server = setting.server();
    setting.sign_in(&server).await.unwrap();
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 1);
    // Another issuer needs another client.
    let other = setting.fake.issuer().replace("127.0.0.1", "localhost");
    let document = json!({"issuer": other});
    setting.fake.state().issuer_metadata = document;
    setting.fake.state().resource_metadata = json!({"authorization_servers": [other]});
    setting.begin(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 2);
}

#[tokio::test]
async fn preregistered_client_is_used() {
    let setting = Setting::new().await;
    let mut server = setting.server();
    server.oauth.as_mut().unwrap().client = OAuthClient::Registered {
        id: "own".into(),
        secret: None,
    };
    server.oauth.as_mut().unwrap().scopes = vec!["write".into()];
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 0);
    assert_eq!(setting.fake.last("code")["client_id"], "own");
    assert_eq!(setting.fake.last("authorize")["scope"], "write");
}

#[tokio::test]
async fn gateway_with_a_public_url_uses_its_client_id_document() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({"client_id_metadata_document_supported": true});
    let options = OAuthOptions {
        public_url: Some("https://mcp.example.com/tools".parse().unwrap()),
        ..options(&["127.0.0.0/8"])
    };
    let document = crate::credential::client_document(options.public_url.as_ref().unwrap());
    let authorizations = Authorizations::new(setting.installations(), options);
    let redirect_uri = authorizations.redirect_uri().unwrap();
    let new = NewAuthorization {
        key: &key(),
        redirect_uri: &redirect_uri,
        for_whom: "ann",
        values: BTreeMap::new(),
    };
    let begun = authorizations.begin(&setting.server(), new).await.unwrap();
    let id = "https://mcp.example.com/tools/oauth/client.json";
    assert!(
        begun
            .url
            .contains("client_id=https%3A%2F%2Fmcp.example.com%2Ftools%2Foauth%2Fclient.json")
    );
    assert_eq!(setting.fake.count("register"), 0);
    assert_eq!(document["client_id"], id);
    assert_eq!(document["redirect_uris"][0], redirect_uri.as_str());
}

#[tokio::test]
async fn response_is_accepted_once_from_its_issuer_and_for_its_initiator() {
    let setting = Setting::new().await;
    let server = setting.server();
    let issuer = setting.fake.issuer();
    let slash = format!("{issuer}/");
    let finish = |state: String, answer, who: &'static str| {
        let (authorizations, server) = (setting.authorizations.clone(), server.clone());
        async move {
            let finished = authorizations.finish(&server, &state, answer, who).await;
            finished.map(|_| ()).map_err(|error| error.kind())
        }
    };
    let begin = || async {
        let begun = setting.begin(&server).await.unwrap();
        setting.fake.agree(&begun.url);
        begun.state
    };
    for wrong in [Some("https://evil.example"), Some(&*slash), None] {
        let state = begin().await;
        let refused = finish(state.clone(), answer("the-code", wrong), "ann").await;
        assert_eq!(refused, Err(ErrorKind::Forbidden), "{wrong:?}");
        let again = finish(state, answer("the-code", Some(&issuer)), "ann").await;
        assert_eq!(again, Err(ErrorKind::InvalidParams), "it is used up");
    }
    assert_eq!(setting.fake.count("code"), 0, "no code went anywhere");
    let state = begin().await;
    let other = finish(state.clone(), answer("the-code", Some(&issuer)), "bob").await;
    assert_eq!(other, Err(ErrorKind::Forbidden));
    assert_eq!(
        setting
            .authorizations
            .pending(&state)
            .await
            .unwrap()
            .for_whom,
        "ann"
    );
    let both = tokio::join!(
        finish(state.clone(), answer("the-code", Some(&issuer)), "ann"),
        finish(state.clone(), answer("the-code", Some(&issuer)), "ann"),
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    let denied = AuthorizationAnswer {
        error: Some("access_denied\r\n<b>".into()),
        ..answer("x", Some(&issuer))
    };
    let denied = setting
        .authorizations
        .finish(&server, &begin().await, denied, "ann")
        .await;
    let denied = denied.unwrap_err().to_string();
    assert!(denied.ends_with("(access_deniedb)"), "{denied}");
    let unknown = finish("unknown".into(), answer("the-code", Some(&issuer)), "ann").await;
    assert_eq!(unknown, Err(ErrorKind::InvalidParams));
}

#[tokio::test]
async fn server_and_issuer_metadata_is_validated() {
    type Change = fn(&mut State);
    let rows: [(&str, Change, &str); 8] = [
        (
            "another resource",
            |state| state.resource_metadata = json!({"resource": "https://evil.example/mcp"}),
            "about another server",
        ),
        (
            "another issuer's metadata",
            |state| state.issuer_metadata = json!({"issuer": "https://evil.example"}),
            "calls itself https://evil.example",
        ),
        (
            "no PKCE",
            |state| state.issuer_metadata = json!({"code_challenge_methods_supported": ["plain"]}),
            "PKCE",
        ),
        (
            "no registration",
            |state| state.issuer_metadata = json!({"registration_endpoint": Value::Null}),
            "oauth.client_id",
        ),
        (
            "a page that is no address",
            |state| {
                state.issuer_metadata = json!({"authorization_endpoint": "javascript:alert(1)"});
            },
            "no authorization endpoint",
        ),
        (
            "an issuer in the network behind",
            |state| state.resource_metadata = json!({"authorization_servers": ["http://10.0.0.1"]}),
            "private address",
        ),
        (
            "a cloud's metadata",
            |state| {
                state.challenge =
                    Some("Bearer resource_metadata=\"http://169.254.169.254/x\"".into());
            },
            "private address",
        ),
        (
            "a redirect to the network behind",
            |state| {
                let path = "/.well-known/oauth-protected-resource/mcp";
                state
                    .moved
                    .insert(path.into(), "http://192.168.1.1/x".into());
            },
            "private address",
        ),
    ];
    for (what, change, said) in rows {
        let setting = Setting::new().await;
        change(&mut setting.fake.state());
        let error = setting.begin(&setting.server()).await.unwrap_err();
        assert!(error.to_string().contains(said), "{what}: {error}");
        assert_eq!(error.server().unwrap().as_str(), "jira");
    }
}

#[tokio::test]
async fn only_configured_issuers_may_use_private_addresses() {
    let setting = Setting::with(&[]).await;
    let mut server = setting.server();
    let error = setting.begin(&server).await.unwrap_err().to_string();
    assert!(
        error.contains("private address") && error.contains("/tenant"),
        "{error}"
    );
    server.oauth.as_mut().unwrap().issuer = Some(setting.fake.issuer());
    setting.sign_in(&server).await.unwrap();
}

#[tokio::test]
async fn server_without_metadata_is_its_own_issuer() {
    let setting = Setting::with(&[]).await;
    setting.fake.state().challenge = Some("Basic realm=\"x\"".into());
    let prefix = "/.well-known/oauth-protected-resource";
    setting.fake.state().missing.insert(format!("{prefix}/mcp"));
    let mut server = setting.server();
    server.oauth.as_mut().unwrap().client = OAuthClient::Registered {
        id: "own".into(),
        secret: None,
    };
    let begun = setting.begin(&server).await.unwrap();
    let own = setting.fake.state().server.clone();
    assert!(
        begun.url.starts_with(&format!("{own}/authorize?")),
        "{}",
        begun.url
    );
}
