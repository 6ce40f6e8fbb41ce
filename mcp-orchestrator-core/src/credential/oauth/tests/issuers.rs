//! How an issuer is found, and which data is sent to it only.

use serde_json::{Value, json};

use super::renewal::{Process, signed_in};
use super::*;
use crate::credential::Precondition;
use crate::error::ErrorKind;
use crate::server::{OAuthClient, OAuthEndpoints, OAuthGrant, OAuthResource, OAuthSpec};

const HTML: (u16, &str, &str) = (200, "text/html", "<!doctype html><p>app</p>");
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const ISSUER: &str = "/.well-known/oauth-authorization-server/tenant";

fn page(setting: &Setting, path: &str, (status, kind, body): (u16, &'static str, &str)) {
    let mut state = setting.fake.state();
    state
        .pages
        .insert(path.to_owned(), (status, kind, body.to_owned()));
}

/// Returns the fake's documents, for publishing at other places.
fn documents(setting: &Setting) -> (String, String) {
    let server = setting.fake.state().server.clone();
    let issuer = setting.fake.issuer();
    let resource = json!({"resource": format!("{server}/mcp"), "authorization_servers": [issuer]});
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": Value::Null,
        "grant_types_supported": 7,
    });
    (resource.to_string(), metadata.to_string())
}

#[tokio::test]
async fn responses_without_metadata_are_skipped() {
    let junk = [
        HTML,
        (200, "application/json", "null"),
        (200, "application/json", "[]"),
        (200, "application/json", r#"{"error":"not found"}"#),
        (200, "application/json", ""),
        (401, "application/json", r#"{"error":"unauthorized"}"#),
        (500, "text/plain", "x"),
        (502, "text/html", "<p>bad gateway"),
    ];
    for junk in junk {
        let setting = Setting::new().await;
        let (resource, metadata) = documents(&setting);
        setting.fake.state().challenge = Some("Bearer".into());
        page(&setting, &format!("{RESOURCE}/mcp"), junk);
        page(&setting, RESOURCE, (200, "application/json", &resource));
        page(&setting, ISSUER, junk);
        let last = "/tenant/.well-known/openid-configuration";
        page(
            &setting,
            last,
            (200, "text/plain", &format!("\u{feff}{metadata}")),
        );
        let finished = setting.sign_in(&setting.server()).await;
        finished.unwrap_or_else(|error| panic!("{junk:?}: {error}"));
    }
}

#[tokio::test]
async fn malformed_metadata_members_are_tolerated() {
    let rows = [
        json!({"scopes_supported": null}),
        json!({"scopes_supported": "read write"}),
        json!({"scopes_supported": {"read": true}}),
        json!({"scopes_supported": [null, 1, "read"]}),
        json!({"bearer_methods_supported": null, "resource_name": 1e300}),
    ];
    for row in rows {
        let setting = Setting::new().await;
        setting.fake.state().resource_metadata = row.clone();
        let mut metadata = row.clone();
        metadata["token_endpoint_auth_methods_supported"] = Value::Null;
        metadata["authorization_response_iss_parameter_supported"] = "true".into();
        setting.fake.state().issuer_metadata = metadata;
        let finished = setting.sign_in(&setting.server()).await;
        finished.unwrap_or_else(|error| panic!("{row}: {error}"));
    }
}

#[tokio::test]
async fn challenges_of_deployed_servers_are_understood() {
    let own = format!("{RESOURCE}/mcp");
    let rows = [
        format!("Bearer resource_metadata=\"{own}\""),
        format!(
            "Bearer resource_metadata=\"{}\"",
            own.trim_start_matches('/')
        ),
        "Bearer resource_metadata=\"\"".to_owned(),
        "Bearer resource_metadata=\"ftp://x.example/\"".to_owned(),
        "Bearer resource_metadata=\"/nothing/here\"".to_owned(),
        "bearer realm=\"x\", error=\"invalid_token\"".to_owned(),
    ];
    for row in rows {
        let setting = Setting::new().await;
        setting.fake.state().challenge = Some(row.clone());
        let finished = setting.sign_in(&setting.server()).await;
        finished.unwrap_or_else(|error| panic!("{row}: {error}"));
    }
}

#[tokio::test]
async fn first_authorization_server_with_metadata_is_used() {
    let setting = Setting::new().await;
    let issuer = setting.fake.issuer();
    let gone = format!("{}/gone", setting.fake.state().server);
    setting.fake.state().resource_metadata = json!({"authorization_servers": [gone, issuer]});
    setting.sign_in(&setting.server()).await.unwrap();
}

#[tokio::test]
async fn configured_issuer_may_declare_another_name() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({"issuer": "https://cf.notes.example"});
    let mut server = setting.server();
    let error = setting.begin(&server).await.unwrap_err().to_string();
    assert!(error.contains("`oauth.issuer`"), "{error}");
    server.oauth.as_mut().unwrap().issuer = Some(setting.fake.issuer());
    setting.sign_in(&server).await.unwrap();
    // Responses may carry its declared name or the configured one, and no other.
    for (issuer, taken) in [
        ("https://cf.notes.example", true),
        ("https://notes.example", false),
    ] {
        let begun = setting.begin(&server).await.unwrap();
        let (state, _) = setting.fake.agree(&begun.url);
        let answer = answer("the-code", Some(issuer));
        let finished = setting
            .authorizations
            .finish(&server, &state, answer, "ann")
            .await;
        assert_eq!(finished.is_ok(), taken, "{issuer}");
    }
}

#[tokio::test]
async fn configured_issuer_needs_no_server_metadata() {
    let rows: [fn(&Setting); 4] = [
        |setting| {
            setting.fake.state().resource_metadata =
                json!({"resource": "https://evil.example/mcp"});
        },
        |setting| {
            setting.fake.state().challenge = Some("Bearer".into());
            page(setting, &format!("{RESOURCE}/mcp"), HTML);
        },
        |setting| {
            page(
                setting,
                &format!("{RESOURCE}/mcp"),
                (503, "text/plain", "x"),
            );
        },
        |setting| {
            let place = "Bearer resource_metadata=\"http://169.254.169.254/x\"";
            setting.fake.state().challenge = Some(place.into());
        },
    ];
    for change in rows {
        let setting = Setting::new().await;
        change(&setting);
        let mut server = setting.server();
        let oauth = server.oauth.as_mut().unwrap();
        oauth.issuer = Some(setting.fake.issuer());
        setting.sign_in(&server).await.unwrap();
        let resource = setting.fake.server_url();
        assert_eq!(setting.fake.last("authorize")["resource"], resource);
    }
}

#[tokio::test]
async fn endpoints_and_the_metadata_url_can_be_configured() {
    let setting = Setting::new().await;
    let (_, metadata) = documents(&setting);
    let issuer = setting.fake.issuer();
    page(&setting, ISSUER, HTML);
    setting.fake.state().resource_metadata = json!({"authorization_servers": []});
    page(
        &setting,
        "/odd/place.json",
        (200, "application/json", &metadata),
    );
    let origin = issuer.trim_end_matches("/tenant").to_owned();
    let own = |endpoints: OAuthEndpoints, client: OAuthClient| {
        let mut server = setting.server();
        let oauth = server.oauth.as_mut().unwrap();
        oauth.endpoints = endpoints;
        oauth.client = client;
        server
    };
    let client = || OAuthClient::Registered {
        id: "own".into(),
        secret: Some("pw".into()),
    };
    let both = OAuthEndpoints {
        authorization: Some(format!("{issuer}/authorize")),
        token: Some(format!("{issuer}/token")),
        ..OAuthEndpoints::default()
    };
    let all = OAuthEndpoints {
        registration: Some(format!("{issuer}/register")),
        ..both.clone()
    };
    let document = OAuthEndpoints {
        metadata: Some(format!("{origin}/odd/place.json")),
        ..OAuthEndpoints::default()
    };
    for (endpoints, client) in [
        (both, client()),
        (all, OAuthClient::Found),
        (document.clone(), client()),
        (document, OAuthClient::Found),
    ] {
        let shown = format!("{endpoints:?}");
        let finished = setting.sign_in(&own(endpoints, client)).await;
        finished.unwrap_or_else(|error| panic!("{shown}: {error}"));
    }
}

#[tokio::test]
async fn client_secret_is_sent_only_to_a_configured_issuer() {
    let secret = |grant, parameters: bool| {
        move |oauth: &mut OAuthSpec| {
            oauth.grant = grant;
            if parameters {
                oauth.token_parameters = vec![("key".into(), "CANARY".into())];
            } else {
                oauth.client = OAuthClient::Registered {
                    id: "corp".into(),
                    secret: Some("CANARY".into()),
                };
            }
        }
    };
    for parameters in [false, true] {
        let setting = Setting::new().await;
        let mut server = setting.server();
        secret(OAuthGrant::AuthorizationCode, parameters)(server.oauth.as_mut().unwrap());
        let error = setting.begin(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("oauth.issuer"), "{error}");
        secret(OAuthGrant::ClientCredentials, parameters)(server.oauth.as_mut().unwrap());
        let process = Process::on(&setting).await;
        let error = process.resolve(&server, None).await.unwrap_err();
        assert!(error.to_string().contains("oauth.issuer"), "{error}");
        for kind in ["code", "refresh", "other", "register"] {
            assert_eq!(setting.fake.count(kind), 0, "{kind}");
        }
    }
}

#[tokio::test]
async fn tokens_are_not_sent_to_another_issuer_or_with_its_client_secret() {
    let (setting, mut server, process) = signed_in(0).await;
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some("https://other.example".into());
    oauth.client = OAuthClient::Registered {
        id: "client-1".into(),
        secret: Some("CANARY".into()),
    };
    let error = process.resolve(&server, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialExpired);
    assert!(error.to_string().contains("names another one"), "{error}");
    assert_eq!(setting.fake.count("refresh"), 0);
    // A sign-in that began before the change is rejected as well.
    let before = setting.server();
    let begun = setting.begin(&before).await.unwrap();
    let (state, answer) = setting.fake.agree(&begun.url);
    let codes = setting.fake.count("code");
    let finished = setting
        .authorizations
        .finish(&server, &state, answer, "ann")
        .await;
    assert!(finished.is_err());
    assert_eq!(setting.fake.count("code"), codes);
}

#[tokio::test]
async fn resource_is_discovered_omitted_or_configured() {
    let rows = [
        (OAuthResource::Found, Some("server")),
        (OAuthResource::Omitted, None),
        (OAuthResource::Named("api://a b".into()), Some("api://a b")),
        (OAuthResource::Named("urn:x".into()), Some("urn:x")),
    ];
    for (resource, sent) in rows {
        let setting = Setting::new().await;
        let mut server = setting.server();
        server.oauth.as_mut().unwrap().resource = resource.clone();
        setting.sign_in(&server).await.unwrap();
        let own = setting.fake.server_url();
        let sent = sent.map(|sent| if sent == "server" { own.as_str() } else { sent });
        for kind in ["authorize", "code"] {
            let found = setting.fake.last(kind);
            let found = found.get("resource").map(String::as_str);
            assert_eq!(found, sent, "{resource:?} {kind}");
        }
    }
}

#[tokio::test]
async fn extra_parameters_are_sent_and_override_the_defaults() {
    let (setting, mut server, _) = signed_in(0).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.scopes = vec!["offline_access".into()];
    oauth.authorization_parameters = vec![
        pair("access_type", "offline"),
        pair("prompt", "select_account"),
        pair("scope", "a,b"),
    ];
    oauth.token_parameters = vec![("audience".into(), "https://api.example".into())];
    let finished = setting.sign_in(&server).await.unwrap();
    let page = setting.fake.last("authorize");
    assert_eq!(page["access_type"], "offline");
    assert_eq!(page["prompt"], "select_account");
    assert_eq!(page["scope"], "a,b");
    assert_eq!(setting.fake.last("code")["audience"], "https://api.example");
    let installations = setting.installations();
    let mut stored = finished.credential;
    stored.expires_at = Some(std::time::SystemTime::UNIX_EPOCH);
    installations
        .put(&key(), &stored, Precondition::Any)
        .await
        .unwrap();
    let process = Process::on(&setting).await;
    process.token(&server).await;
    assert_eq!(
        setting.fake.last("refresh")["audience"],
        "https://api.example"
    );
}
