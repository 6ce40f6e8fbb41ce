//! A server that reports list changes continuously is not queried endlessly.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister, tools};
use mcp_orchestrator_tests::wait::{until, within};

#[tokio::test]
async fn unchanged_list_is_fetched_less_and_less_often() {
    let server = Lister::start(|asked| {
        if asked.is("tools/list") {
            Answer::Changed(tools(&["t"]).to_string())
        } else {
            Answer::Usual
        }
    })
    .await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let session = gateway.session().await;
    assert_eq!(session.tools().await, ["t"]);
    until("a third list", || server.count("tools/list") >= 3).await;
    // While calls run, only delays pass, however slow the machine is.
    let before = server.count("tools/list");
    for _ in 0..200 {
        session.tool("t", "{}").await;
    }
    let after = server.count("tools/list");
    assert!(after - before < 20, "{before} {after}");
    assert_eq!(session.tools().await, ["t"]);
}

#[tokio::test]
async fn change_during_a_notification_storm_is_noticed() {
    let server = Lister::start(|asked| {
        if !asked.is("tools/list") {
            return Answer::Usual;
        }
        let names: &[&str] = if asked.before < 4 {
            &["t"]
        } else {
            &["t", "new"]
        };
        Answer::Changed(tools(names).to_string())
    })
    .await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let session = gateway.session().await;
    within("the new tool", async {
        while session.tools().await != ["t", "new"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
