use super::{bad, good};
use crate::config::ProxySettings;

#[test]
fn proxies_and_certificates_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("x.pem");
    std::fs::write(&pem, "").unwrap();
    let pem = pem.display();
    let loaded = good(&format!(
        "servers: {{x: {{url: https://x.example/mcp}}}}
network:
  proxy: http://ann:pass@proxy.example:3128
  no_proxy: [.corp.example, 10.0.0.0/8]
  ca_file: {pem}
  client_certificates: [{{hosts: ['*.x.example', y.example], certificate: {pem}, key: {pem}}}]"
    ));
    let outbound = &loaded.settings.outbound;
    let ProxySettings::All { no_proxy, .. } = &outbound.proxy else {
        panic!("{outbound:?}");
    };
    assert_eq!(no_proxy, ".corp.example,10.0.0.0/8");
    assert_eq!(outbound.client_certificates[0].hosts.len(), 2);
    assert!(!format!("{outbound:?}").contains("pass"));
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
}

#[test]
fn proxy_none_disables_environment_proxies() {
    let loaded = good("network: {proxy: none}");
    assert_eq!(loaded.settings.outbound.proxy, ProxySettings::None);
    let loaded = good("network: {allow_private: [idp.internal]}");
    assert_eq!(loaded.settings.outbound.proxy, ProxySettings::Environment);
}

#[test]
fn unusable_settings_are_named_in_the_error() {
    let rows = [
        (
            "network: {proxy: 'ftp://ann:pass@p.example'}",
            "network.proxy",
            "socks5",
        ),
        (
            "network: {proxy: p.example}",
            "network.proxy",
            "expected the URL of a proxy",
        ),
        (
            "network: {no_proxy: [a.example]}",
            "network.no_proxy",
            "`proxy`",
        ),
        (
            "network: {client_certificates: [{certificate: a.pem, key: a.key}]}",
            "network.client_certificates[0]",
            "`hosts` is missing",
        ),
        (
            "network: {client_certificates: [{hosts: [a.example], certificate: a.pem}]}",
            "network.client_certificates[0]",
            "`key` is missing",
        ),
        (
            "network: {client_certificates: [{hosts: ['https://a.example'], certificate: a, key: a}]}",
            "network.client_certificates[0].hosts[0]",
            "",
        ),
    ];
    for (text, key, why) in rows {
        let problems = bad(text);
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains(key) && problem.contains(why)),
            "{text}: {problems:?}"
        );
        assert!(!problems.concat().contains("pass"), "{problems:?}");
    }
}
