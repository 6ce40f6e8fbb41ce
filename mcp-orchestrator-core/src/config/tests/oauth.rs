//! Servers whose token is obtained by OAuth.

use super::{bad, good};
use crate::server::{Injection, OAuthClient, OAuthGrant};

#[test]
fn a_remote_server_needs_nothing_but_true() {
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
fn all_that_a_server_does_not_say_can_be_said() {
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
fn what_is_wrong_is_told_at_its_key() {
    let rows = [
        ("url: https://n.example, oauth: yes please", "oauth: "),
        (
            "url: https://n.example, oauth: {slot: token}",
            "oauth.slot: ",
        ),
        (
            "url: https://n.example, oauth: {client_secret: x}",
            "`client_id`, which is missing",
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
        ("command: [sh], oauth: true", "Name its `issuer`"),
        (
            "command: [sh], oauth: {issuer: 'https://i.example'}",
            "Name it as `slot`",
        ),
        (
            "url: https://n.example, credentials: [{name: t, header: Authorization}], oauth: true",
            "takes that place already",
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
