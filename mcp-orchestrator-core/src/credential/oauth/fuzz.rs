//! Fuzzing entry points for OAuth documents.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::client::Client;
use super::documents::{Registration, ResourceMetadata, covers, resource_places};
use super::grant::Grant;
use crate::challenge::Challenge;
use crate::fetch::Answer;
use crate::limits::{MAX_OAUTH_LIST, MAX_OAUTH_TEXT_LEN, MAX_TOKEN_LEN};
use crate::oauth::{AuthMethod, IssuerMetadata, issuer_places, token_answer};
use crate::server::OAuthGrant;

/// Parses the bytes as each of the documents.
///
/// # Panics
/// If a parsed document exceeds a limit, or a token cannot be stored as a credential.
pub(crate) fn documents(data: &[u8]) {
    let server: Uri = "https://a.example/x/mcp".parse().expect("an address");
    if let Some(metadata) = ResourceMetadata::read(data) {
        assert!(metadata.authorization_servers.len() <= MAX_OAUTH_LIST);
        for issuer in &metadata.authorization_servers {
            issuer_places(issuer);
        }
        let resource = metadata.resource.unwrap_or_default();
        let about = covers(&resource, &server);
        assert!(
            !about
                || resource
                    .to_ascii_lowercase()
                    .starts_with("https://a.example")
        );
    }
    if let Some(metadata) = IssuerMetadata::read(data) {
        let named = metadata.clone().named("https://i.example");
        assert_eq!(named.issuer, "https://i.example");
        assert!(metadata.issuer.len() <= MAX_OAUTH_TEXT_LEN);
        let is_scope = |scope: &String| scope.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(metadata.scopes_supported.iter().all(is_scope));
    }
    if let Some(registration) = Registration::read(data) {
        assert!(!registration.client_id.is_empty());
    }
    let text = String::from_utf8_lossy(data);
    Challenge::parse([&*text]);
    if let Ok(server) = text.parse::<Uri>() {
        resource_places(&server);
    }
    for status in [200, 400, 503] {
        for kind in ["application/json", "application/x-www-form-urlencoded"] {
            token(data, status, kind);
        }
    }
}

fn token(data: &[u8], status: u16, kind: &'static str) {
    let answer = Answer {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]),
        body: Zeroizing::new(data.to_vec()),
    };
    let Ok(token) = token_answer(&answer) else {
        return;
    };
    assert_eq!(status, 200, "a token comes with success alone");
    let access = token.access.expose_secret();
    assert!(access.len() <= MAX_TOKEN_LEN && HeaderValue::from_str(access).is_ok());
    let grant = Grant {
        issuer: "https://i.example".to_owned(),
        token_endpoint: "https://i.example/token".to_owned(),
        client: Client {
            id: "c".to_owned(),
            secret: None,
            auth_method: AuthMethod::None,
        },
        redirect_uri: None,
        resource: None,
        refresh_token: None,
        asked: Vec::new(),
        wanted: Vec::new(),
    };
    let slot = crate::id::SlotName::new("t").expect("a slot's name");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let stored = super::grant::installed(&slot, grant, (&token, at), OAuthGrant::AuthorizationCode);
    let stored = stored.expect("a token can be stored");
    assert!(stored.expires_at.is_none_or(|end| end >= at));
}
