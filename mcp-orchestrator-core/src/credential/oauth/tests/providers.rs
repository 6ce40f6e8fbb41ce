//! Issuers that behave like known providers, each with the configuration that docs/credentials.md gives for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::server::{OAuthClient, OAuthResource};

const ISSUER: &str = "/.well-known/oauth-authorization-server/tenant";

fn client(secret: bool) -> OAuthClient {
    OAuthClient::Registered {
        id: "app".into(),
        secret: secret.then(|| "pw".into()),
    }
}

/// Moves the issuer's metadata from its usual place to `path`.
fn metadata_at(setting: &Setting, path: &str, members: &Value) {
    let issuer = setting.fake.issuer();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "code_challenge_methods_supported": ["S256"],
    });
    let members = members.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(members);
    let mut state = setting.fake.state();
    state.missing.insert(ISSUER.to_owned());
    let page = (200, "application/json", document.to_string());
    state.pages.insert(path.to_owned(), page);
}

#[tokio::test]
async fn github_has_no_registration_and_reports_errors_with_200() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({
        "registration_endpoint": Value::Null,
        "token_endpoint_auth_methods_supported": Value::Null,
        "authorization_response_iss_parameter_supported": Value::Null,
    });
    setting.fake.state().token_says = Some(|asked, given| {
        let known = asked.get("client_id").map(String::as_str) == Some("app");
        Some(if known {
            let token = given["access_token"].as_str().unwrap().to_owned();
            let body = format!("access_token={token}&scope=repo%2Cuser&token_type=bearer");
            (200, "application/x-www-form-urlencoded", body)
        } else {
            let body = r#"{"error":"incorrect_client_credentials"}"#;
            (200, "application/json", body.to_owned())
        })
    });
    let mut server = setting.server();
    let error = setting.begin(&server).await.unwrap_err().to_string();
    assert!(error.contains("oauth.client_id"), "{error}");
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(true);
    setting.sign_in(&server).await.unwrap();
}

#[tokio::test]
async fn google_issues_a_refresh_token_only_for_offline_access() {
    let setting = Setting::new().await;
    metadata_at(
        &setting,
        "/tenant/.well-known/openid-configuration",
        &json!({"token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"]}),
    );
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(true);
    oauth.resource = OAuthResource::Omitted;
    oauth.scopes = vec!["https://www.googleapis.com/auth/drive.readonly".into()];
    oauth.authorization_parameters = vec![
        ("access_type".into(), "offline".into()),
        ("prompt".into(), "consent".into()),
    ];
    setting.sign_in(&server).await.unwrap();
    let page = setting.fake.last("authorize");
    assert_eq!(page["access_type"], "offline");
    assert!(!page.contains_key("resource"));
}

#[tokio::test]
async fn slack_returns_the_token_under_authed_user() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata =
        json!({"issuer": "https://slack.example", "registration_endpoint": Value::Null});
    setting.fake.state().token_says = Some(|_, given| {
        let user = json!({
            "id": "U1", "scope": "search:read,chat:write", "token_type": "user",
            "access_token": given["access_token"], "refresh_token": given["refresh_token"], "expires_in": 43200,
        });
        let body = json!({"ok": true, "app_id": "A1", "authed_user": user});
        Some((200, "application/json", body.to_string()))
    });
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(true);
    let finished = setting.sign_in(&server).await.unwrap();
    assert!(finished.credential.expires_at.is_some());
    assert!(finished.credential.renewal.unwrap().due.is_some());
}

#[tokio::test]
async fn entra_rejects_resource_and_uses_application_scopes() {
    let setting = Setting::new().await;
    metadata_at(
        &setting,
        "/tenant/.well-known/openid-configuration",
        &json!({"code_challenge_methods_supported": Value::Null, "issuer": "https://sts.example/{tenantid}"}),
    );
    setting.fake.state().page_says =
        Some(|_, query| query.contains_key("resource").then_some("invalid_target"));
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(false);
    oauth.scopes = vec!["api://app/.default".into(), "offline_access".into()];
    let error = setting.sign_in(&server).await.unwrap_err();
    assert!(error.to_string().contains("invalid_target"), "{error}");
    server.oauth.as_mut().unwrap().resource = OAuthResource::Omitted;
    setting.sign_in(&server).await.unwrap();
}

#[tokio::test]
async fn atlassian_declares_another_issuer_and_registers_a_client() {
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({"issuer": "https://cf.mcp.example"});
    let mut server = setting.server();
    server.oauth.as_mut().unwrap().issuer = Some(setting.fake.issuer());
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 1);
}

#[tokio::test]
async fn auth0_requires_an_audience() {
    let setting = Setting::new().await;
    setting.fake.state().page_says =
        Some(|_, query| (!query.contains_key("audience")).then_some("access_denied"));
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(true);
    oauth.authorization_parameters = vec![("audience".into(), "https://api.example".into())];
    setting.sign_in(&server).await.unwrap();
}

#[tokio::test]
async fn okta_accepts_only_one_client_authentication_method() {
    let setting = Setting::new().await;
    metadata_at(
        &setting,
        "/.well-known/openid-configuration/tenant",
        &json!({"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}),
    );
    setting.fake.state().token_says = Some(|asked: &BTreeMap<String, String>, _| {
        let twice = asked.contains_key("authorization") && asked.contains_key("client_id");
        twice.then(|| {
            (
                400,
                "application/json",
                r#"{"error":"invalid_request"}"#.into(),
            )
        })
    });
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client = client(true);
    oauth.scopes = vec!["openid".into(), "offline_access".into()];
    setting.sign_in(&server).await.unwrap();
}

#[tokio::test]
async fn server_with_dynamic_registration_needs_no_configuration() {
    // Like Notion, Linear and most hosted servers: public clients, registered on the fly.
    let setting = Setting::new().await;
    setting.fake.state().issuer_metadata = json!({
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        "authorization_response_iss_parameter_supported": Value::Null,
    });
    setting.fake.state().registration =
        json!({"client_secret": Value::Null, "token_endpoint_auth_method": "none"});
    setting.sign_in(&setting.server()).await.unwrap();
    let code = setting.fake.last("code");
    assert_eq!(code["client_id"], "client-1");
    assert!(!code.contains_key("client_secret") && !code.contains_key("authorization"));
}
