//! How long clients may cache merged lists, and who may.

use serde_json::{Value, json};

use super::servers::{Described, KINDS, Over, Stage, server};

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

/// A server with empty lists, each of which ends with these members.
fn caching(name: &'static str, members: &str) -> Described {
    let all = r#"{"tools":{},"prompts":{},"resources":{}}"#;
    let described = server(name).declares(all);
    LISTS.iter().fold(described, |described, (method, list)| {
        described.answer(method, &format!(r#""{list}":[]{members}"#))
    })
}

async fn result(stage: &Stage, method: &str) -> Value {
    let client = stage.gateway.client("ann");
    client.modern(method, "{}").await["result"].clone()
}

#[tokio::test]
async fn merged_list_may_be_cached_as_long_as_the_shortest_of_its_servers() {
    let public = r#","cacheScope":"public""#;
    let with = |ms: &str| format!(r#"{public},"ttlMs":{ms}"#);
    for over in [Over::Pipe, Over::Http] {
        for (times, expected) in [
            (&["700", "3000"][..], 700),
            (&["3000", "700", "3600000"], 700),
            (&["3600000", "3600000"], 5000),
            (&["4000", "0"], 0),
            (&["1200"], 1200),
        ] {
            let names = ["a", "b", "c"];
            let servers = names.iter().zip(times);
            let servers: Vec<_> = servers.map(|(name, ms)| caching(name, &with(ms))).collect();
            let stage = Stage::new(("modern", over), &servers).await;
            for (method, _) in LISTS {
                let list = result(&stage, method).await;
                assert_eq!(
                    list["ttlMs"], expected,
                    "{over:?} {times:?} {method}: {list}"
                );
                // What a gateway shows depends on its caller.
                assert_eq!(list["cacheScope"], "private", "{method}");
                let info = &list["_meta"]["io.modelcontextprotocol/serverInfo"];
                assert_eq!(info["name"], "mcp-orchestrator", "{method}: {list}");
            }
        }
    }
}

#[tokio::test]
async fn lists_of_legacy_servers_may_be_cached_for_some_seconds() {
    for kind in KINDS {
        // Where a test says nothing else, the scripted servers of the modern era say this.
        let expected = if kind.0 == "modern" { 1000 } else { 5000 };
        let servers = [caching("a", ""), caching("b", "")];
        let stage = Stage::new(kind, &servers).await;
        for (method, _) in LISTS {
            let list = result(&stage, method).await;
            assert_eq!(list["ttlMs"], expected, "{kind:?} {method}: {list}");
        }
        let session = stage.gateway.session().await;
        let legacy = session.request("tools/list", "{}").await;
        for member in ["ttlMs", "cacheScope", "resultType", "_meta"] {
            assert_eq!(legacy["result"].get(member), None, "{legacy}");
        }
    }
}

#[tokio::test]
async fn list_that_lacks_a_server_must_not_be_cached() {
    let lost = caching("b", "").answer("tools/list", r#"!{"code":-32603,"message":"later"}"#);
    let stage = Stage::new(("modern", Over::Http), &[caching("a", ""), lost]).await;
    let list = result(&stage, "tools/list").await;
    assert_eq!(list["ttlMs"], 0, "{list}");
    let list = result(&stage, "prompts/list").await;
    assert_eq!(list["ttlMs"], 1000, "{list}");
}

#[tokio::test]
async fn description_of_the_gateway_may_be_cached_once_its_servers_are_known() {
    let servers = [caching("a", ""), caching("b", "")];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let said = result(&stage, "server/discover").await;
    assert_eq!(
        (&said["ttlMs"], &said["cacheScope"]),
        (&json!(5000), &json!("private"))
    );
    // The scripted servers of the modern era allow no caching of what they say.
    let stage = Stage::new(("modern", Over::Pipe), &servers).await;
    let said = result(&stage, "server/discover").await;
    assert_eq!(said["ttlMs"], 0, "{said}");
}
