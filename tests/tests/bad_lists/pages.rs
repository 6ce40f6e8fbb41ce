//! Endless pages, and invalid cursors.

use mcp_orchestrator_core::limits::{MAX_IDLE_PAGES, MAX_LIST_ITEMS, MAX_LIST_PAGES};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister, ReceivedRequest, tools};
use serde_json::{Value, json};

/// A server that returns these tools and this next cursor for a given cursor.
async fn paged(
    page: impl Fn(&ReceivedRequest) -> (Vec<String>, Value) + Send + Sync + 'static,
) -> Lister {
    Lister::start(move |asked| {
        if !asked.is("tools/list") {
            return Answer::Usual;
        }
        let (names, next) = page(asked);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut result = tools(&names);
        result["nextCursor"] = next;
        Answer::result(&result)
    })
    .await
}

async fn listed(server: &Lister) -> Vec<String> {
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    gateway.session().await.tools().await
}

#[tokio::test]
async fn repeated_cursor_ends_the_list_without_duplicates() {
    type Follow = fn(&Value) -> Value;
    let follows: [Follow; 5] = [
        |_| json!("x"),
        |_| json!(""),
        |_| json!(7),
        |cursor| {
            if *cursor == "a" {
                json!("b")
            } else {
                json!("a")
            }
        },
        |cursor| match cursor.as_u64().unwrap_or(0) {
            3 => json!(1),
            n => json!(n + 1),
        },
    ];
    for follow in follows {
        let server = paged(move |asked| (vec!["t".into()], follow(&asked.params["cursor"]))).await;
        assert_eq!(listed(&server).await, ["t"]);
        assert!(server.count("tools/list") <= 5);
    }
}

#[tokio::test]
async fn numeric_cursor_is_followed() {
    let server = paged(|asked| match asked.params["cursor"].as_u64() {
        None => (vec!["a".into()], json!(2)),
        Some(2) => (vec!["b".into()], Value::Null),
        Some(other) => panic!("{other}"),
    })
    .await;
    assert_eq!(listed(&server).await, ["a", "b"]);
}

#[tokio::test]
async fn items_before_a_failed_page_are_listed() {
    let server = Lister::start(|asked| {
        if !asked.is("tools/list") {
            return Answer::Usual;
        }
        if asked.params["cursor"].is_null() {
            let mut first = tools(&["a", "b"]);
            first["nextCursor"] = json!("2");
            return Answer::result(&first);
        }
        Answer::Error(-32603)
    })
    .await;
    assert_eq!(listed(&server).await, ["a", "b"]);
}

#[tokio::test]
async fn endless_paging_is_cut_off() {
    let many = paged(|asked| {
        let names = (0..500).map(|n| format!("{}-{n}", asked.before));
        (names.collect(), json!(asked.before.to_string()))
    })
    .await;
    assert_eq!(listed(&many).await.len(), MAX_LIST_ITEMS);
    assert!(many.count("tools/list") <= MAX_LIST_ITEMS / 500 + 1);
    let idle = paged(|asked| (vec!["t".into()], json!(asked.before.to_string()))).await;
    assert_eq!(listed(&idle).await, ["t"]);
    assert!(idle.count("tools/list") <= MAX_IDLE_PAGES + 1);
    let thin = paged(|asked| (vec![format!("t{}", asked.before)], json!(asked.before))).await;
    assert_eq!(listed(&thin).await.len(), MAX_LIST_PAGES);
}

#[tokio::test]
async fn endless_paging_of_large_pages_is_cut_off() {
    let server = Lister::start(|asked| {
        if !asked.is("tools/list") {
            return Answer::Usual;
        }
        let pad = "x".repeat(500 * 1024);
        let tool = |n| {
            format!(
                r#"{{"name":"{}-{n}","description":"{pad}","inputSchema":{{"type":"object"}}}}"#,
                asked.before
            )
        };
        let all: Vec<String> = (0..10).map(tool).collect();
        Answer::Result(format!(
            r#"{{"tools":[{}],"nextCursor":"{}"}}"#,
            all.join(","),
            asked.before
        ))
    })
    .await;
    let names = listed(&server).await;
    assert!((20..40).contains(&names.len()), "{}", names.len());
    assert!(server.count("tools/list") < 10);
}
