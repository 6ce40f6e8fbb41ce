//! Pages, filters and caching of the list.

use mcp_orchestrator_gateway::Options;
use serde_json::Value;

use crate::schema::{REGISTRY, assert_valid};
use crate::{document, gateway, get, names, site};

fn public(options: &mut Options) {
    options.public_url = Some("https://example.com".parse().unwrap());
}

#[tokio::test]
async fn list_is_read_page_by_page_without_gaps_or_repeats() {
    let all: Vec<String> = (0..250).map(|n| format!("g{n}")).collect();
    let site = site(all.iter().map(|name| gateway(name, &[])), public).await;
    let mut sorted: Vec<String> = all
        .iter()
        .map(|name| format!("com.example/{name}"))
        .collect();
    sorted.sort();
    for (limit, size) in [("7", 7), ("100", 100), ("1000", 100), ("", 30)] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v0.1/servers?limit={limit}&cursor={cursor}&version=latest");
            let page: Value = document(site.client("ann"), &path).await;
            assert_valid(REGISTRY, "ServerList", &page);
            let count = page["servers"].as_array().unwrap().len();
            assert!(count <= size && page["metadata"]["count"] == count);
            found.extend(names(&page).into_iter().map(str::to_owned));
            match page["metadata"]["nextCursor"].as_str() {
                Some(next) => cursor = next.replace('/', "%2F"),
                None => break,
            }
        }
        assert_eq!(found, sorted, "limit {limit}");
    }
}

#[tokio::test]
async fn list_is_filtered_and_unusable_parameters_are_named() {
    let gateways = ["alpha", "beta", "alpine"].map(|name| gateway(name, &[]));
    let site = site(gateways, public).await;
    let own = env!("CARGO_PKG_VERSION");
    for (query, expected) in [
        ("search=alp", &["alpha", "alpine"][..]),
        ("search=ALPHA", &["alpha"]),
        ("search=com.example", &["alpha", "alpine", "beta"]),
        ("search=zeta", &[]),
        ("version=latest&search=bet", &["beta"]),
        (&format!("version={own}&limit=1"), &["alpha"]),
        ("version=9.9.9", &[]),
        (
            "updated_since=2020-01-01T00:00:00Z",
            &["alpha", "alpine", "beta"],
        ),
        ("updated_since=2999-01-01T00:00:00%2B02:00", &[]),
        ("include_deleted=true&other=1&limit=2", &["alpha", "alpine"]),
        ("cursor=com.example%2Falpine", &["beta"]),
        ("cursor=zzz", &[]),
    ] {
        let list = document(site.client("ann"), &format!("/v0.1/servers?{query}")).await;
        let found = names(&list);
        let short: Vec<&str> = found
            .iter()
            .map(|name| &name["com.example/".len()..])
            .collect();
        assert_eq!(short, expected, "{query}");
    }
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("updated_since=yesterday", "updated_since"),
        ("updated_since=2025-13-01T00:00:00Z", "updated_since"),
    ] {
        let mut response = get(site.client("ann"), &format!("/v0.1/servers?{query}"), &[]).await;
        assert_eq!(response.status, 400, "{query}");
        let error = String::from_utf8(response.bytes().await.to_vec()).unwrap();
        assert!(error.contains(name), "{query}: {error}");
    }
}

#[tokio::test]
async fn unchanged_documents_are_not_sent_again() {
    let site = site([gateway("default", &[]), gateway("ops", &["ann"])], public).await;
    for path in [
        "/v0.1/servers",
        "/mcp/server-card",
        "/.well-known/ai-catalog.json",
    ] {
        let response = get(site.client("ann"), path, &[]).await;
        let tag = response.header("etag").unwrap().to_owned();
        let cached = response.header("cache-control").unwrap();
        assert!(cached.contains("private"), "{path}: {cached}");
        assert!(response.header("vary").unwrap().contains("Authorization"));
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".into(),
        ] {
            let headers = [("if-none-match", known.as_str())];
            let mut again = get(site.client("ann"), path, &headers).await;
            assert_eq!(
                (again.status, again.bytes().await.len()),
                (304, 0),
                "{path}"
            );
        }
        let headers = [("if-none-match", "\"other\"")];
        assert_eq!(get(site.client("ann"), path, &headers).await.status, 200);
    }
    let list = "/v0.1/servers";
    let tag = |response: &mcp_orchestrator_tests::client::Response| {
        response.header("etag").unwrap().to_owned()
    };
    let before = tag(&get(site.client("ann"), list, &[]).await);
    assert_ne!(tag(&get(site.client("bob"), list, &[]).await), before);
    site.router.replace([gateway("default", &[])]);
    assert_ne!(tag(&get(site.client("ann"), list, &[]).await), before);
}
