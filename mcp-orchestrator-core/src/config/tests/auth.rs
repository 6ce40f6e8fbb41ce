//! Authentication settings.

use secrecy::ExposeSecret as _;

use super::{bad, good};
use crate::auth::Algorithm;

const ALL: &str = r#"
auth:
  local: true
  tokens: true
  issuers:
    - issuer: https://idp.example.com/realms/x
      audience: [mcp, "https://mcp.example.com/mcp"]
      algorithms: [ES256, EdDSA]
      jwks_url: https://idp.example.com/keys
      claims: {user: email, teams: realm_access.groups}
      prefix: "x:"
      scopes: [mcp, tools]
      client_id: gateway
      client_secret: canary
    - issuer: http://localhost:8080/
      prefix: "y:"
public_url: https://mcp.example.com/tools/
trusted_proxies: [10.0.0.0/8, "::1"]
tls: {certificate: cert.pem, key: "${NAME}.pem"}
limits: {calls_per_principal: 1, calls_per_server: 2, instances_per_owner: 3, sessions_per_principal: 4}
"#;

#[test]
fn every_auth_key_is_applied() {
    let settings = good(ALL).settings;
    let auth = settings.auth;
    assert!(auth.local && auth.tokens && auth.knows_others() && !auth.is_single_principal());
    let [first, second] = &auth.issuers[..] else {
        panic!("{:?}", auth.issuers)
    };
    assert_eq!(first.issuer, "https://idp.example.com/realms/x");
    assert_eq!(first.audience, ["mcp", "https://mcp.example.com/mcp"]);
    assert_eq!(first.algorithms, [Algorithm::Es256, Algorithm::EdDsa]);
    assert_eq!(
        first.jwks_url.as_deref(),
        Some("https://idp.example.com/keys")
    );
    assert_eq!(first.user_claim, "email");
    assert_eq!(first.teams_claim.as_deref(), Some("realm_access.groups"));
    assert_eq!(first.prefix, "x:");
    assert_eq!(first.scopes, ["mcp", "tools"]);
    let client = first.client.as_ref().unwrap();
    assert_eq!(client.id, "gateway");
    assert_eq!(client.secret.as_ref().unwrap().expose_secret(), "canary");
    assert!(!format!("{first:?}").contains("canary"));
    // Kept exactly: a trailing slash is part of an issuer's identifier.
    assert_eq!(second.issuer, "http://localhost:8080/");
    assert_eq!((&*second.user_claim, &second.teams_claim), ("sub", &None));
    assert_eq!(second.algorithms, Algorithm::ALL);
    assert_eq!(
        auth.public_url.as_ref().unwrap().as_str(),
        "https://mcp.example.com/tools"
    );
    let proxy = |text: &str| {
        let address = text.parse().unwrap();
        auth.trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    };
    assert!(proxy("10.1.1.1") && proxy("::1") && !proxy("192.0.2.1"));
    let tls = auth.tls.as_ref().unwrap();
    assert!(tls.certificate.is_absolute() && tls.key.ends_with("name.pem"));
    let limits = auth.limits;
    assert_eq!(limits.calls_per_principal.unwrap().get(), 1);
    assert_eq!(limits.calls_per_server.unwrap().get(), 2);
    assert_eq!(limits.instances_per_owner.unwrap().get(), 3);
    assert_eq!(limits.sessions_per_principal.unwrap().get(), 4);
}

#[test]
fn local_is_enabled_by_default_without_other_authentication() {
    let local = |text: &str| good(text).settings.auth.local;
    assert!(local("{}") && local("auth: {}") && local("auth: {tokens: false}"));
    assert!(!local("auth: {tokens: true}") && local("auth: {tokens: true, local: true}"));
    let issuer = "auth: {issuers: [{issuer: https://a.example, audience: [x]}]}";
    assert!(!local(issuer));
    assert!(good("{}").settings.auth.is_single_principal());
    assert!(!good(issuer).settings.auth.is_single_principal());
}

#[test]
fn first_admin_requires_tokens() {
    let auth = good("auth: {tokens: true, first_admin: secret}")
        .settings
        .auth;
    assert_eq!(auth.first_admin, Some(crate::config::FirstAdmin::Secret));
    assert!(
        good("auth: {tokens: true}")
            .settings
            .auth
            .first_admin
            .is_none()
    );
    let told = bad("auth: {first_admin: secret}").join("\n");
    assert!(
        told.contains("auth.first_admin") && told.contains("tokens: true"),
        "{told}"
    );
}

#[test]
fn several_issuers_require_distinct_prefixes() {
    let two = |first: &str, second: &str| {
        format!(
            "auth: {{issuers: [{{issuer: https://a.example, audience: [x]{first}}}, \
             {{issuer: https://b.example, audience: [x]{second}}}]}}"
        )
    };
    for (first, second) in [
        ("", ""),
        ("", ", prefix: b/"),
        (", prefix: a", ", prefix: ab"),
    ] {
        let told = bad(&two(first, second)).join("\n");
        assert!(
            told.contains("several issuers need a `prefix` each"),
            "{told}"
        );
    }
    good(&two(", prefix: a/", ", prefix: b/"));
    let same = bad(&two(", prefix: a/", ", prefix: b/").replace("b.example", "a.example"));
    assert!(same[0].contains("duplicate issuer"), "{same:?}");
}

#[test]
fn issuer_without_tls_gets_a_notice() {
    let notices = |url: &str| {
        let text = format!("auth: {{issuers: [{{issuer: \"{url}\", audience: [x]}}]}}");
        good(&text).notices.len()
    };
    assert_eq!(notices("http://idp.example.com"), 1);
    assert_eq!(notices("http://127.0.0.1:8080"), 0);
    assert_eq!(notices("https://idp.example.com"), 0);
}
