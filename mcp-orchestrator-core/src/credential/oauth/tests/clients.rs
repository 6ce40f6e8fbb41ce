//! OAuth clients: registrations that issuers make and forget, and limits on how many a caller can cause.

use serde_json::{Value, json};

use super::fake::{PageHook, TokenHook};
use super::*;
use crate::error::ErrorKind;
use crate::limits::{MAX_REGISTRATIONS_PER_CALLER, MAX_SIGN_INS_PER_CALLER};
use crate::server::{ClientAuth, OAuthClient};

const REFUSED: (u16, &str, &str) = (401, "application/json", r#"{"error":"invalid_client"}"#);

fn refused() -> Option<(u16, &'static str, String)> {
    let (status, kind, body) = REFUSED;
    Some((status, kind, body.to_owned()))
}

#[tokio::test]
async fn client_authenticates_with_every_kind_of_issuer() {
    let rows: [(&str, TokenHook); 5] = [
        ("basic with the id in the form", |asked, _| {
            let known = asked.contains_key("authorization") && asked.contains_key("client_id");
            if known { None } else { refused() }
        }),
        ("basic alone", |asked, _| {
            let known = asked.contains_key("authorization") && !asked.contains_key("client_id");
            if known { None } else { refused() }
        }),
        ("two ways are a wrong request", |asked, _| {
            let twice = asked.contains_key("authorization") && asked.contains_key("client_id");
            twice.then(|| {
                (
                    400,
                    "application/json",
                    r#"{"error":"invalid_request"}"#.into(),
                )
            })
        }),
        ("basic that is not decoded", |asked, _| {
            // client-1:s:1
            let known = asked.get("authorization").map(String::as_str);
            (known != Some("Basic Y2xpZW50LTE6czox")).then(|| refused().unwrap())
        }),
        ("the form alone", |asked, _| {
            let known = asked.get("client_secret").map(String::as_str) == Some("s:1");
            if known { None } else { refused() }
        }),
    ];
    for (what, says) in rows {
        let setting = Setting::new().await;
        setting.fake.state().token_says = Some(says);
        let finished = setting.sign_in(&setting.server()).await;
        finished.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[tokio::test]
async fn configured_client_auth_is_the_only_one_tried() {
    let setting = Setting::new().await;
    setting.fake.state().token_says = Some(|_, _| refused());
    let mut server = setting.server();
    let oauth = server.oauth.as_mut().unwrap();
    oauth.issuer = Some(setting.fake.issuer());
    oauth.client_auth = Some(ClientAuth::Post);
    oauth.client = OAuthClient::Registered {
        id: "own".into(),
        secret: Some("pw".into()),
    };
    let error = setting.sign_in(&server).await.unwrap_err();
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert_eq!(setting.fake.count("refused"), 1);
    let asked = setting.fake.last("refused");
    assert_eq!(asked["client_secret"], "pw");
    assert!(!asked.contains_key("authorization"));
}

#[tokio::test]
async fn client_is_registered_with_the_scopes_it_requests() {
    let setting = Setting::new().await;
    setting.fake.state().resource_metadata = json!({"scopes_supported": ["read"]});
    setting.fake.state().page_says = Some(|state, query| {
        let own = state.registered.get("scope").and_then(Value::as_str);
        let own = own.unwrap_or_default();
        let asked = query.get("scope").map(String::as_str).unwrap_or_default();
        let known = asked
            .split(' ')
            .all(|scope| own.split(' ').any(|own| own == scope));
        (!known).then_some("invalid_scope")
    });
    let mut server = setting.server();
    setting.sign_in(&server).await.unwrap();
    // Requesting further scopes later needs another registration.
    server.oauth.as_mut().unwrap().scopes = vec!["read".into(), "write".into()];
    setting.sign_in(&server).await.unwrap();
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 2);
    // If the issuer grants fewer scopes, only those are requested.
    let setting = Setting::new().await;
    setting.fake.state().resource_metadata = json!({"scopes_supported": ["read", "admin"]});
    setting.fake.state().registration = json!({"scope": "read"});
    setting.sign_in(&setting.server()).await.unwrap();
    assert_eq!(setting.fake.last("authorize")["scope"], "read");
}

#[tokio::test]
async fn rejected_registration_reports_the_reason() {
    let rows = [
        (
            400,
            r#"{"error":"invalid_redirect_uri","error_description":"localhost is not\u001b allowed"}"#,
            "invalid_redirect_uri: localhost is not allowed",
        ),
        (403, r#"{"error":"access_denied"}"#, "access_denied"),
        (200, r#"{"error":{"code":"x"}}"#, "HTTP 200"),
        (201, "<p>registered", "HTTP 201"),
        (500, "", "HTTP 500"),
    ];
    for (status, body, said) in rows {
        let setting = Setting::new().await;
        let page = (status, "application/json", body.to_owned());
        setting
            .fake
            .state()
            .pages
            .insert("/tenant/register".to_owned(), page);
        let error = setting.begin(&setting.server()).await.unwrap_err();
        assert!(error.to_string().contains(said), "{status} {body}: {error}");
        assert!(error.to_string().contains("oauth.client_id"), "{error}");
    }
}

#[tokio::test]
async fn registration_with_any_timestamp_is_accepted() {
    for at in [
        "18446744073709551615",
        "-1",
        "1.5e300",
        "\"soon\"",
        "0.5",
        "null",
    ] {
        let setting = Setting::new().await;
        let body = format!(
            r#"{{"client_id":7,"client_secret":"s","client_secret_expires_at":{at},"client_id_issued_at":{at}}}"#
        );
        let page = (201, "application/json", body);
        setting
            .fake
            .state()
            .pages
            .insert("/tenant/register".to_owned(), page);
        let begun = setting.begin(&setting.server()).await.unwrap();
        assert!(begun.url.contains("client_id=7&"), "{at}: {}", begun.url);
    }
}

#[tokio::test]
async fn client_is_registered_again_after_the_issuer_forgets_it() {
    let setting = Setting::new().await;
    let server = setting.server();
    setting.sign_in(&server).await.unwrap();
    // The issuer shows an error page, and the browser never comes back.
    setting.begin(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 1);
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 2);
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), 2, "it is known again");
    // Other issuers send the browser back with an error, or reject the code.
    for word in ["unauthorized_client", "invalid_client"] {
        let before = setting.fake.count("register");
        let says: PageHook = if word == "invalid_client" {
            |_, _| Some("invalid_client")
        } else {
            |_, _| Some("unauthorized_client")
        };
        setting.fake.state().page_says = Some(says);
        setting.sign_in(&server).await.unwrap_err();
        setting.fake.state().page_says = None;
        setting.sign_in(&server).await.unwrap();
        assert_eq!(setting.fake.count("register"), before + 1, "{word}");
    }
    // A user who denies access says nothing about the client.
    let before = setting.fake.count("register");
    setting.fake.state().page_says = Some(|_, _| Some("access_denied"));
    setting.sign_in(&server).await.unwrap_err();
    setting.fake.state().page_says = None;
    setting.sign_in(&server).await.unwrap();
    assert_eq!(setting.fake.count("register"), before);
}

#[tokio::test]
async fn requests_and_records_per_caller_are_bounded() {
    let setting = Setting::new().await;
    let options = OAuthOptions {
        discovery_ttl: Duration::from_mins(1),
        ..options(&["127.0.0.0/8"])
    };
    let authorizations = Authorizations::new(setting.installations(), options);
    let server = setting.server();
    let begin = |for_whom: &'static str, number: usize| {
        let (authorizations, server) = (authorizations.clone(), server.clone());
        async move {
            let redirect_uri = format!("http://127.0.0.1:9/{number}");
            let new = NewAuthorization {
                key: &key(),
                redirect_uri: &redirect_uri,
                for_whom,
                values: BTreeMap::new(),
            };
            authorizations.begin(&server, new).await
        }
    };
    let (mut begun, mut refused) = (0, 0);
    for number in 0..100 {
        match begin("ann", number).await {
            Ok(_) => begun += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
                assert!(error.retry_after().is_some());
                refused += 1;
            }
        }
    }
    assert_eq!(begun, MAX_REGISTRATIONS_PER_CALLER);
    assert_eq!(begun + refused, 100);
    assert_eq!(setting.fake.count("register"), MAX_REGISTRATIONS_PER_CALLER);
    assert_eq!(setting.fake.count("metadata"), 1);
    assert_eq!(setting.fake.count("probe"), 1);
    // Another caller is not affected.
    begin("bob", 1).await.unwrap();
    // The same redirect URI needs one registration only; the number of sign-ins is limited, too.
    for _ in 0..MAX_SIGN_INS_PER_CALLER {
        let _ = begin("carol", 1).await;
    }
    let error = begin("carol", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    let flows = setting.store.list(crate::credential::RecordKind::Flow);
    let flows = flows.await.unwrap().len();
    assert_eq!(
        flows,
        MAX_REGISTRATIONS_PER_CALLER + 1 + MAX_SIGN_INS_PER_CALLER
    );
}

#[tokio::test]
async fn concurrent_sign_ins_share_one_discovery() {
    let setting = Setting::new().await;
    let options = OAuthOptions {
        discovery_ttl: Duration::from_mins(1),
        ..options(&["127.0.0.0/8"])
    };
    let authorizations = Authorizations::new(setting.installations(), options);
    let server = setting.server();
    let people: Vec<String> = (0..30).map(|number| format!("user-{number}")).collect();
    let key = key();
    let all = people.iter().map(|person| {
        let new = NewAuthorization {
            key: &key,
            redirect_uri: "http://127.0.0.1:9/oauth/callback",
            for_whom: person,
            values: BTreeMap::new(),
        };
        authorizations.begin(&server, new)
    });
    for begun in futures_util::future::join_all(all).await {
        begun.unwrap();
    }
    assert_eq!(setting.fake.count("probe"), 1);
    assert_eq!(setting.fake.count("metadata"), 1);
}
