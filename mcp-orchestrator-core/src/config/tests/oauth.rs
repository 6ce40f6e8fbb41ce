//! Servers with tokens from OAuth.

use super::{bad, good};
use crate::server::{ClientAuth, Injection, OAuthClient, OAuthGrant, OAuthResource};

#[test]
fn remote_server_needs_only_oauth_true() {
    let loaded = good("servers: {notes: {url: https://n.example/mcp, oauth: true}}");
    let server = &loaded.settings.servers[0];
    let oauth = server.oauth.as_ref().unwrap();
    assert_eq!(server.slots.len(), 1);
    assert_eq!(server.slots[0].name, oauth.slot);
    assert_eq!(server.slots[0].inject, Injection::bearer());
    assert!(matches!(oauth.client, OAuthClient::Found));
    assert_eq!(oauth.grant, OAuthGrant::AuthorizationCode);
    let off = good("servers: {notes: {url: https://n.example/mcp, oauth: false}}");
    assert!(off.settings.servers[0].oauth.is_none() && off.settings.servers[0].slots.is_empty());
}

#[test]
fn every_oauth_setting_can_be_configured() {
    let loaded = good(
        "servers:
  drive:
    command: [sh]
    credentials: [{name: token, env: DRIVE}, {name: tenant, env: TENANT, plain: true}]
    oauth:
      slot: token
      issuer: https://idp.example
      resource: https://drive.example
      client_id: own
      client_secret: ${TOKEN}
      grant: client_credentials
      scopes: [read, write]
network: {allow_private: [idp.internal, 'https://idp.example:8443', 10.0.0.0/8]}",
    );
    let oauth = loaded.settings.servers[0].oauth.as_ref().unwrap();
    assert_eq!(oauth.slot.as_str(), "token");
    assert_eq!(oauth.grant, OAuthGrant::ClientCredentials);
    assert_eq!(oauth.scopes, ["read", "write"]);
    assert_eq!(loaded.settings.allow_private.len(), 3);
    let shown = format!("{:?}", loaded.settings);
    assert!(!shown.contains("canary-token"), "{shown}");
}

#[test]
fn invalid_oauth_settings_are_reported_at_their_key() {
    let rows = [
        ("url: https://n.example, oauth: yes please", "oauth: "),
        (
            "url: https://n.example, oauth: {slot: token}",
            "oauth.slot: ",
        ),
        (
            "url: https://n.example, oauth: {client_secret: x}",
            "needs a `client_id`",
        ),
        (
            "url: https://n.example, oauth: {grant: client_credentials}",
            "needs `client_id` and",
        ),
        (
            "url: https://n.example, oauth: {issuer: idp}",
            "oauth.issuer: ",
        ),
        (
            "url: https://n.example, oauth: {scopes: ['a b']}",
            "oauth.scopes[0]: ",
        ),
        ("url: https://n.example, oauth: {scopess: []}", "scopess"),
        (
            "command: [sh], oauth: {slot: t}, credentials: [{name: t, env: T}]",
            "`issuer` is required",
        ),
        (
            "command: [sh], oauth: {issuer: 'https://i.example'}",
            "set `slot` to the credential",
        ),
        (
            "url: https://n.example, credentials: [{name: t, header: Authorization}], oauth: true",
            "another credential uses that header",
        ),
    ];
    for (server, part) in rows {
        let problems = bad(&format!("servers: {{notes: {{{server}}}}}"));
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{server}: {problems:?}"
        );
    }
    let problems = bad("network: {allow_private: ['https://idp.example/x']}");
    assert!(
        problems[0].contains("network.allow_private[0]"),
        "{problems:?}"
    );
}

#[test]
fn unusable_oauth_settings_are_reported_at_their_key() {
    let rows = [
        (
            "url: https://n.example, oauth: {client_id: a, client_secret: x}",
            "oauth.client_secret: the secret needs a fixed recipient",
        ),
        (
            "url: https://n.example, oauth: {grant: client_credentials, client_id: a, client_secret: x}",
            "oauth.client_secret: the secret needs a fixed recipient",
        ),
        (
            "url: https://n.example, oauth: {client_id: a, client_secret: x, token_endpoint: 'https://i.example/t'}",
            "`authorization_endpoint`",
        ),
        (
            "url: https://n.example, oauth: {token_parameters: {key: x}}",
            "oauth.token_parameters: the secret needs a fixed recipient",
        ),
        (
            "url: https://n.example, oauth: {authorization_parameters: {state: x}}",
            "this parameter is set by the gateway",
        ),
        (
            "url: https://n.example, oauth: {token_parameters: {scope: x}}",
            "`scopes`",
        ),
        (
            "url: https://n.example, oauth: {redirect_uri: 'http://mcp.example.com/oauth/callback'}",
            "oauth.redirect_uri: ",
        ),
        (
            "url: https://n.example, oauth: {redirect_uri: 'https://localhost/callback'}",
            "http://localhost:PORT/PATH",
        ),
        (
            "url: https://n.example, oauth: {token_endpoint_auth_method: private_key_jwt}",
            "token_endpoint_auth_method",
        ),
        (
            "url: https://n.example, oauth: {token_endpoint: token}",
            "oauth.token_endpoint: ",
        ),
    ];
    for (server, part) in rows {
        let problems = bad(&format!("servers: {{notes: {{{server}}}}}"));
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{server}: {problems:?}"
        );
    }
}

#[test]
fn settings_for_deployed_issuers_are_accepted() {
    let loaded = good(
        "servers:
  entra:
    url: https://n.example/mcp
    oauth:
      issuer: https://login.example/tenant/v2.0
      client_id: app
      resource: false
      scopes: ['api://app/.default']
      redirect_uri: http://localhost:3118/callback
  auth0:
    url: https://n.example/mcp
    oauth:
      authorization_endpoint: https://i.example/authorize
      token_endpoint: https://i.example/token
      client_id: app
      client_secret: ${TOKEN}
      token_endpoint_auth_method: client_secret_post
      resource: api://app
      authorization_parameters: {audience: 'https://api.example', scope: 'a,b'}
      token_parameters: {audience: '${TOKEN}'}",
    );
    let oauth = |name: &str| {
        let mut servers = loaded.settings.servers.iter();
        let server = servers.find(|server| server.id.as_str() == name).unwrap();
        server.oauth.clone().unwrap()
    };
    let entra = oauth("entra");
    assert_eq!(entra.resource, OAuthResource::Omitted);
    assert_eq!(
        entra.redirect_uri.as_deref(),
        Some("http://localhost:3118/callback")
    );
    let auth0 = oauth("auth0");
    assert_eq!(auth0.resource, OAuthResource::Named("api://app".into()));
    assert_eq!(auth0.client_auth, Some(ClientAuth::Post));
    assert_eq!(auth0.authorization_parameters.len(), 2);
    assert!(auth0.names_issuer() && auth0.has_secret());
    let shown = format!("{:?}", loaded.settings);
    assert!(!shown.contains("canary-token"), "{shown}");
}

#[test]
fn remote_server_without_credentials_may_require_a_token_later() {
    for (entry, may) in [
        ("url: https://n.example/mcp", true),
        ("url: https://n.example/mcp, headers: {X-Team: a}", true),
        ("url: https://n.example/mcp, oauth: false", false),
        (
            "url: https://n.example/mcp, headers: {AUTHORIZATION: a}",
            false,
        ),
        (
            "url: https://n.example/mcp, credentials: [{name: t, header: X-Key}]",
            false,
        ),
        ("command: [sh]", false),
    ] {
        let loaded = good(&format!("servers: {{notes: {{{entry}}}}}"));
        let server = &loaded.settings.servers[0];
        assert_eq!(server.is_open(), may, "{entry}");
        assert_eq!(server.oauth.is_some(), may, "{entry}");
    }
    let foreign = r#"{"mcpServers": {"notes": {"type": "http", "url": "https://n.example/mcp"}}}"#;
    assert!(good(foreign).settings.servers[0].is_open());
}
