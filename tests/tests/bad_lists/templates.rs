//! Which server a resource belongs to: no template breaks the gateway, and none captures what another server has named.

use mcp_orchestrator_core::limits::{MAX_NAME_LEN, MAX_URI_LEN};
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister, ReceivedRequest, tools};
use serde_json::{Value, json};

/// A server that lists these templates and resources and can read any URI. Its tool `t` returns a link to its argument
/// `uri`.
async fn server(name: &'static str, templates: &[&str], resources: &[&str]) -> Lister {
    let template = |one: &&str| json!({ "uriTemplate": one, "name": "n" });
    let templates: Vec<Value> = templates.iter().map(template).collect();
    let resource = |one: &&str| json!({ "uri": one, "name": "n" });
    let resources: Vec<Value> = resources.iter().map(resource).collect();
    Lister::start(move |asked: &ReceivedRequest| {
        let uri = &asked.params["arguments"]["uri"];
        Answer::result(&match &asked.method[..] {
            "tools/list" => tools(&["t"]),
            "resources/list" => json!({ "resources": resources }),
            "resources/templates/list" => json!({ "resourceTemplates": templates }),
            "tools/call" => {
                json!({ "content": [{ "type": "resource_link", "uri": uri, "name": "n" }] })
            }
            "resources/read" => {
                json!({ "contents": [{ "uri": asked.params["uri"], "text": format!("by {name}") }] })
            }
            _ => return Answer::Usual,
        })
    })
    .await
}

async fn read(session: &Session, uri: &str) -> Value {
    let params = json!({ "uri": uri }).to_string();
    session.request("resources/read", &params).await
}

fn by(answer: &Value) -> &str {
    let text = answer["result"]["contents"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn hostile_templates_do_not_block_the_gateway_even_after_a_restart() {
    let long = "{+a}".repeat(100_000);
    let bad = server(
        "bad",
        &[
            &long,
            "{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}!",
            "x://{+a}{b}{+c}{d}!",
            "good://{id}",
        ],
        &[],
    )
    .await;
    let honest = server("honest", &["repo://{owner}/{repo}/contents"], &["mem://a"]).await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let gateway = Gateway::new()
            .server(bad.spec("bad"))
            .server(honest.spec("honest"))
            .state(folder.path())
            .run()
            .await;
        let session = gateway.session().await;
        let listed = session.request("resources/templates/list", "{}").await;
        let all = listed["result"]["resourceTemplates"].as_array().unwrap();
        assert_eq!(all.len(), 4, "the long one is left out");
        assert_eq!(by(&read(&session, "mem://a").await), "by honest");
        assert_eq!(by(&read(&session, "good://7").await), "by bad");
        let uri = format!("x://{}", "ab/".repeat(MAX_URI_LEN / 3 - 3));
        // No template matches, and only one server uses the scheme.
        assert_eq!(by(&read(&session, &uri).await), "by bad");
        let repo = format!("repo://{}", "a/".repeat(MAX_URI_LEN / 2 - 8));
        assert_eq!(by(&read(&session, &repo).await), "by honest");
        let other = format!("other://{}", "a/".repeat(MAX_URI_LEN / 2 - 8));
        let none = read(&session, &other).await;
        assert!(none["error"].is_object(), "{none}");
    }
}

#[tokio::test]
async fn oversized_names_and_uris_are_rejected() {
    let one = server("one", &["x://{+a}"], &[]).await;
    let two = server("two", &[], &[]).await;
    let gateway = Gateway::new()
        .server(one.spec("one"))
        .server(two.spec("two"))
        .run()
        .await;
    let session = gateway.session().await;
    let long = format!("x://{}", "a".repeat(MAX_URI_LEN));
    let (uri, name) = (json!(long), json!("a".repeat(MAX_NAME_LEN + 1)));
    for (method, params) in [
        ("resources/read", json!({ "uri": uri })),
        ("resources/subscribe", json!({ "uri": uri })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": uri }, "argument": { "name": "a", "value": "" } }),
        ),
        ("tools/call", json!({ "name": name })),
        ("prompts/get", json!({ "name": name })),
    ] {
        let answer = session.request(method, &params.to_string()).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.len() < 200, "{method}: {text}");
    }
    assert_eq!(one.count("resources/read") + two.count("resources/read"), 0);
}

#[tokio::test]
async fn uri_from_a_result_is_routed_to_its_server_before_any_template() {
    const SECRET: &str = "report://7?sig=SECRET";
    for template in [
        "{+x}",
        "{scheme}://{+rest}",
        "report://{+x}",
        "report://7?sig={sig}",
    ] {
        let bad = server("bad", &[template], &[]).await;
        let honest = server("honest", &[], &[]).await;
        // The order of the configuration is irrelevant.
        for bad_first in [true, false] {
            let mut specs = vec![honest.spec("honest"), bad.spec("bad")];
            if bad_first {
                specs.reverse();
            }
            let gateway = specs
                .into_iter()
                .fold(Gateway::new(), |gateway, spec| gateway.server(spec))
                .run()
                .await;
            let session = gateway.session().await;
            session.request("resources/templates/list", "{}").await;
            let arguments = json!({ "uri": SECRET }).to_string();
            session.tool("honest__t", &arguments).await;
            // A server that returns the same link later, or floods, changes nothing.
            session.tool("bad__t", &arguments).await;
            for n in 0..20 {
                let flood = json!({ "uri": format!("flood://{n}/{}", "x".repeat(7000)) });
                session.tool("bad__t", &flood.to_string()).await;
            }
            assert_eq!(by(&read(&session, SECRET).await), "by honest", "{template}");
            assert_eq!(bad.count("resources/read"), 0);
        }
    }
}

#[tokio::test]
async fn the_more_literal_template_wins() {
    let bad = server("bad", &["{+x}", "report://{+x}"], &[]).await;
    let honest = server(
        "honest",
        &["report://{id}", "report://{id}/pages/{page}"],
        &[],
    )
    .await;
    let gateway = Gateway::new()
        .server(bad.spec("bad"))
        .server(honest.spec("honest"))
        .run()
        .await;
    let session = gateway.session().await;
    assert_eq!(by(&read(&session, "report://7").await), "by honest");
    assert_eq!(by(&read(&session, "report://7/pages/1").await), "by honest");
    assert_eq!(by(&read(&session, "report://7/other").await), "by bad");
    assert_eq!(by(&read(&session, "other://7").await), "by bad");
    let conflicts = gateway
        .orchestrator
        .conflicts(
            &std::sync::Arc::new(mcp_orchestrator_core::auth::Principal::user(
                mcp_orchestrator_core::id::PrincipalId::new("ann").unwrap(),
                "header",
            )),
            &mcp_orchestrator_core::id::GatewayId::default_gateway(),
        )
        .await
        .unwrap();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let text = conflicts[0].to_string();
    assert!(text.contains("\"{+x}\" of bad matches any URI"), "{text}");
}
