//! Extensions that the gateway does not know.

use std::sync::Arc;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId};
use mcp_orchestrator_core::orchestrator::UnannouncedExtension;
use mcp_orchestrator_core::router::ToolFilter;
use serde_json::{Value, json};

use super::servers::{Described, KINDS, Over, Stage, server};

/// A server that declares these extensions and answers some methods of its own.
fn with(name: &'static str, extensions: &str) -> Described {
    let declared = format!(r#"{{"tools":{{}},"resources":{{}},"extensions":{extensions}}}"#);
    let from = format!(r#""from":"{name}","uri":"@URI@""#);
    let methods = ["forecast/get", "com.example/forecast/list", "other/thing"];
    let described = server(name)
        .declares(&declared)
        .lists(&[&format!("{name}://1")]);
    methods.iter().fold(described, |described, method| {
        described.answer(method, &from)
    })
}

async fn announced(stage: &Stage) -> Vec<Value> {
    let legacy = stage.gateway.session().await;
    let modern = stage
        .gateway
        .client("bob")
        .modern("server/discover", "{}")
        .await;
    [&legacy.hello, &modern]
        .map(|hello| hello["result"]["capabilities"]["extensions"].clone())
        .to_vec()
}

/// Returns what `check` reports of the gateway's extensions.
async fn unannounced(stage: &Stage) -> Vec<UnannouncedExtension> {
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    let default = GatewayId::default_gateway();
    let orchestrator = &stage.gateway.orchestrator;
    let found = orchestrator.unannounced_extensions(&ann, &default).await;
    found.unwrap()
}

#[tokio::test]
async fn extension_of_one_server_is_announced_and_its_methods_reach_it() {
    for kind in KINDS {
        let servers = [
            with(
                "a",
                r#"{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html"]}}"#,
            ),
            with("b", r#"{"com.example/forecast":{"days":7}}"#),
            with("c", r#"{"io.modelcontextprotocol/ui":{}}"#),
        ];
        let stage = Stage::new(kind, &servers).await;
        for extensions in announced(&stage).await {
            assert_eq!(
                extensions["com.example/forecast"],
                json!({"days": 7}),
                "{kind:?}"
            );
            assert!(
                extensions["io.modelcontextprotocol/ui"].is_object(),
                "{kind:?}"
            );
        }
        assert_eq!(unannounced(&stage).await, [], "{kind:?}");
        let session = stage.gateway.session().await;
        for method in ["forecast/get", "com.example/forecast/list", "other/thing"] {
            let got = session.request(method, r#"{"x":1}"#).await;
            assert_eq!(got["result"]["from"], "b", "{kind:?} {method}: {got}");
        }
        let nobody = session.request("tools/thing", "{}").await;
        assert_eq!(nobody["error"]["code"], -32601, "{kind:?} {nobody}");
    }
}

#[tokio::test]
async fn extension_of_several_servers_is_not_announced_but_routed_by_what_a_request_names() {
    let extension = r#"{"com.example/forecast":{}}"#;
    let servers = [with("a", extension), with("b", extension), with("c", "{}")];
    let stage = Stage::new(("legacy", Over::Http), &servers).await;
    for extensions in announced(&stage).await {
        assert!(
            extensions.get("com.example/forecast").is_none(),
            "{extensions}"
        );
    }
    let unannounced = unannounced(&stage).await;
    assert_eq!(unannounced.len(), 1, "{unannounced:?}");
    assert_eq!(
        unannounced[0].to_string(),
        "extension \"com.example/forecast\" is not announced: a and b declare it; its requests reach a server only by a URI \
         or a prefixed name"
    );
    let session = stage.gateway.session().await;
    let nobody = session.request("forecast/get", "{}").await;
    assert_eq!(nobody["error"]["code"], -32601, "{nobody}");
    for params in [
        r#"{"uri":"c://1"}"#,
        r#"{"name":"c__x"}"#,
        r#"{"uri":"d://1"}"#,
        r#"{"name":"d__x"}"#,
    ] {
        let nobody = session.request("forecast/get", params).await;
        assert_eq!(nobody["error"]["code"], -32601, "{params}: {nobody}");
    }
    for name in ["a", "b", "c"] {
        assert!(stage.upstream(name).received_of("forecast/get").is_empty());
    }
    for (params, owner) in [
        (r#"{"uri":"b://1"}"#, "b"),
        (r#"{"uri":"a://other"}"#, "a"),
        (r#"{"name":"b__berlin"}"#, "b"),
    ] {
        let got = session.request("forecast/get", params).await;
        assert_eq!(got["result"]["from"], owner, "{params}: {got}");
    }
    let received = stage.upstream("b").received_of("forecast/get");
    let body = String::from_utf8(received[1].body.to_vec()).unwrap();
    assert!(body.contains(r#""name":"berlin""#), "{body}");
}

#[tokio::test]
async fn extension_of_a_server_with_hidden_tools_is_neither_announced_nor_routed() {
    let hide = || ToolFilter::Some {
        show: Vec::new(),
        hide: vec!["x".into()],
        only: Vec::new(),
    };
    let a = with("a", r#"{"com.example/forecast":{}}"#);
    for servers in [vec![a.clone()], vec![a, with("b", "{}")]] {
        let stage = Stage::with(("legacy", Over::Pipe), &servers, |builder| {
            builder.filter("a", hide())
        });
        let stage = stage.await;
        for extensions in announced(&stage).await {
            assert!(
                extensions.get("com.example/forecast").is_none(),
                "{extensions}"
            );
        }
        let found = unannounced(&stage).await;
        let servers: Vec<&str> = found[0].servers.iter().map(|name| name.as_str()).collect();
        assert_eq!((found.len(), servers), (1, vec!["a"]), "{found:?}");
        let refused = stage
            .gateway
            .session()
            .await
            .request("forecast/get", "{}")
            .await;
        assert_eq!(refused["error"]["code"], -32601, "{refused}");
    }
}

#[tokio::test]
async fn unknown_capabilities_and_experimental_ones_follow_the_same_rule() {
    let declares = |name, more: &str| server(name).declares(&format!(r#"{{"tools":{{}},{more}}}"#));
    let servers = [
        declares(
            "a",
            r#""events":{"x":1},"experimental":{"both":{},"alone":{}}"#,
        ),
        declares("b", r#""experimental":{"both":{}},"webhooks":{}"#),
        declares("c", r#""webhooks":{}"#),
    ];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let session = stage.gateway.session().await;
    let capabilities = &session.hello["result"]["capabilities"];
    assert_eq!(capabilities["events"], json!({"x": 1}), "{capabilities}");
    assert_eq!(
        capabilities["experimental"],
        json!({"alone": {}}),
        "{capabilities}"
    );
    assert!(capabilities.get("webhooks").is_none(), "{capabilities}");
    let found = unannounced(&stage).await;
    let names: Vec<(&str, usize)> = found
        .iter()
        .map(|one| (one.name.as_str(), one.servers.len()))
        .collect();
    assert_eq!(names, [("webhooks", 2), ("both", 2)]);
}
