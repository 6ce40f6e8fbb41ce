//! Programs that write invalid output or end in unusual ways.

use std::time::Duration;

use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use crate::raw::said;

/// A program with a message limit of 64 KiB.
fn small() -> ServerSpec {
    let mut spec = scripted("x", &[]);
    spec.limits.message_bytes = 64 << 10;
    spec
}

async fn write(session: &Session, template: &str) -> Value {
    let arguments = json!({ "text": template }).to_string();
    within("the end of the call", session.tool("write", &arguments)).await
}

#[tokio::test]
async fn any_id_form_and_a_leading_byte_order_mark_are_accepted() {
    for args in [
        &["--ids", "text"][..],
        &["--ids", "point"],
        &["--bom"],
        &["--bom", "--ids", "text"],
    ] {
        let mut spec = scripted("x", args);
        spec.limits.start_timeout = Duration::from_secs(15);
        let gateway = Gateway::new().server(spec).run().await;
        let session = gateway.session().await;
        let answer = session
            .begin("\"mine\"", "echo", "{\"n\":1}")
            .await
            .json()
            .await;
        assert_eq!(
            (&answer["id"], &answer["result"]["echo"]["n"]),
            (&json!("mine"), &json!(1)),
            "{args:?}"
        );
    }
}

#[tokio::test]
async fn progress_token_may_be_returned_as_text() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"@ID@","progress":5}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":@ID@,"result":{}}"#;
    let arguments = json!({ "text": format!("{progress}\n{answer}") }).to_string();
    let mut reply = session
        .begin_with_token("1", "\"t\"", "write", &arguments)
        .await;
    let mut seen = false;
    while let Some(event) = reply.event().await {
        seen |= event.json()["params"]["progress"] == 5;
    }
    assert!(seen);
}

#[tokio::test]
async fn responses_tolerated_by_client_libraries_are_accepted() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    for template in [
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"fine @FF@"}]}}"#,
        r#"[{"jsonrpc":"2.0","id":99999,"result":{}},{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"fine"}]}}]"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"fine"}]},"error":null}"#,
        "\u{feff}\t{\"jsonrpc\":\"2.0\",\"id\":\"@ID@\",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"fine\"}]}}\r",
        "log line\n{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"fine\"}]}}",
    ] {
        let answer = write(&session, template).await;
        assert!(said(&answer).starts_with("fine"), "{template} {answer}");
    }
}

#[tokio::test]
async fn response_over_the_limit_fails_only_its_own_call() {
    let gateway = Gateway::new().server(small()).run().await;
    let session = gateway.session().await;
    let other = gateway.client("bob").session().await;
    let waiting = tokio::spawn(async move { other.tool("gate", r#"{"name":"g"}"#).await });
    within("the call in flight", async {
        while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(2) {}
    })
    .await;
    for template in [
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"text":"@LONG@"}}"#,
        r#"{"result":{"id":1,"text":"@LONG@","nested":[{"id":2},{"id":3}]},"jsonrpc":"2.0","id":@ID@}"#,
        r#"{"jsonrpc":"2.0","id":"@ID@","error":{"code":1,"message":"@LONG@"}}"#,
    ] {
        let answer = write(&session, template).await;
        assert!(said(&answer).contains("the limit is 65536"), "{answer}");
    }
    session.tool("open", r#"{"name":"g"}"#).await;
    assert_eq!(said(&waiting.await.unwrap()), "g");
}

#[tokio::test]
async fn oversized_line_without_a_matching_id_fails_no_call() {
    let ids: Vec<String> = (1..40).map(|id| format!("{{\"id\":{id}}}")).collect();
    let nested = ids.join(",");
    for template in [
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":[{nested},"@LONG@"]}}}}"#
        ),
        format!(r#"{{"result":[{nested},"@LONG@"],"jsonrpc":"2.0","id":999999}}"#),
        format!(r#"log: [{nested}] @LONG@"#),
        format!(r#"{{"id":5,"id":6,"result":[{nested},"@LONG@"]}}"#),
        format!(r#"{{"id":5,"result":[{nested},"@LONG@"]"#),
    ] {
        let gateway = Gateway::new().server(small()).run().await;
        let session = gateway.session().await;
        let other = gateway.client("bob").session().await;
        let waiting = tokio::spawn(async move { other.tool("gate", r#"{"name":"g"}"#).await });
        within("the call in flight", async {
            while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(2) {}
        })
        .await;
        let line = format!("{template}\n{{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"result\":{{}}}}");
        let answer = write(&session, &line).await;
        assert!(answer["error"].is_null(), "{answer}");
        session.tool("open", r#"{"name":"g"}"#).await;
        assert_eq!(said(&waiting.await.unwrap()), "g", "{}", &template[..60]);
    }
}

#[tokio::test]
async fn malformed_response_fails_only_its_own_call() {
    let gateway = Gateway::new().server(small()).run().await;
    let session = gateway.session().await;
    for template in [
        r#"{"jsonrpc":"2.0","id":@ID@}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{},"error":{"code":1,"message":""}}"#,
        r#"{"id":@ID@,"result":{}}"#,
        r#"{"jsonrpc":"1.0","id":@ID@,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"n":NaN}}"#,
    ] {
        let answer = write(&session, template).await;
        assert_eq!(answer["error"]["code"], 1005, "{template} {answer}");
    }
    // The request of an incomplete line is unknown, so the call ends by its timeout.
    let mut spec = small();
    spec.limits.call_timeout = Duration::from_secs(1);
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let answer = write(&session, r#"{"jsonrpc":"2.0","id":@ID@,"result":{"#).await;
    assert_eq!(answer["error"]["code"], 1004, "{answer}");
}

#[tokio::test]
async fn call_ends_with_its_program_even_if_stdout_is_held_open() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let other = gateway.client("bob").session().await;
    let waiting = tokio::spawn(async move { other.tool("hang", "{}").await });
    within("the call in flight", async {
        while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(2) {}
    })
    .await;
    let answer = within(
        "the end of the call",
        session.tool("detach", r#"{"code":3}"#),
    )
    .await;
    assert!(said(&answer).contains("exit status 3"), "{answer}");
    let answer = within("the end of the other", waiting).await.unwrap();
    assert!(said(&answer).contains("exit status 3"), "{answer}");
    assert!(session.tool("echo", "{}").await["error"].is_null());
}

#[tokio::test]
async fn endless_server_requests_are_rejected_and_calls_continue() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .single_principal()
        .run()
        .await;
    let session = gateway
        .client("ann")
        .session_with(r#"{"elicitation":{}}"#)
        .await;
    let questions: Vec<String> = (0..500)
        .map(|n| format!(r#"{{"jsonrpc":"2.0","id":"q{n}","method":"elicitation/create","params":{{"message":"?","requestedSchema":{{"type":"object","properties":{{}}}}}}}}"#))
        .collect();
    let arguments = json!({ "text": questions.join("\n") }).to_string();
    let _call = session.begin("1", "write", &arguments).await;
    let answer = within("another call", session.tool("echo", "{}")).await;
    assert!(answer["error"].is_null(), "{answer}");
}

#[tokio::test]
async fn program_that_cancels_its_own_request_ends_no_call() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let other = gateway.client("bob").session().await;
    let waiting = tokio::spawn(async move { other.tool("gate", r#"{"name":"g"}"#).await });
    within("the call in flight", async {
        while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(2) {}
    })
    .await;
    let cancelled = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        )
    };
    let mut lines: Vec<String> = (0..100).map(|id| cancelled(&id.to_string())).collect();
    lines.push(cancelled("@ID@"));
    lines.push(
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"fine"}]}}"#
            .into(),
    );
    let answer = write(&session, &lines.join("\n")).await;
    assert_eq!(said(&answer), "fine", "{answer}");
    session.tool("open", r#"{"name":"g"}"#).await;
    assert_eq!(said(&waiting.await.unwrap()), "g");
}

/// Answers `initialize`, and one further request if `more`, closes its output and goes on running.
fn closing(more: bool) -> ServerSpec {
    let hello = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}"#;
    let tools = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}"#;
    let more = if more {
        format!("read a; read b; echo '{tools}';")
    } else {
        String::new()
    };
    let script = format!("read a; echo '{hello}'; {more} exec >&-; exec sleep 1000");
    let id = mcp_orchestrator_tests::gateway::server_id("x");
    let mut spec = ServerSpec::command(id, "/bin/sh", ["-c", &*script]);
    spec.era = mcp_orchestrator_core::server::EraChoice::Legacy;
    spec.limits.stop_grace = Duration::from_millis(100);
    // A call starts the program several times.
    spec.limits.call_timeout = Duration::from_secs(5);
    spec
}

#[tokio::test]
async fn program_that_closes_its_output_and_goes_on_running_is_ended_and_started_again() {
    for more in [false, true] {
        let gateway = Gateway::new().server(closing(more)).run().await;
        let session = gateway.session().await;
        for _ in 0..4 {
            let answer = within("an answer", session.tool("t", "{}")).await;
            let said = said(&answer);
            assert!(!said.contains("connection already"), "{more} {said}");
        }
    }
}
