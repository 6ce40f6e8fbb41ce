//! Thirty stopped instances, woken by thirty concurrent calls.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use mcp_orchestrator_tests::client::Client;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use crate::stage::{Stage, becomes, end, image};

/// Instances that are woken concurrently.
const INSTANCES: usize = 30;
/// The time limit for all of them on a small machine.
pub(crate) const LONG: Duration = Duration::from_mins(15);

/// Waits for all futures, and prints how long that took.
pub(crate) async fn all<T>(
    what: &str,
    futures: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let began = Instant::now();
    let futures: FuturesUnordered<_> = futures.into_iter().collect();
    let done = timeout(LONG, futures.collect::<Vec<_>>()).await;
    let done = done.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
    eprintln!(
        "{what}: {} in {} ms",
        done.len(),
        began.elapsed().as_millis()
    );
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn thirty_idle_instances_are_started_by_concurrent_calls() {
    let stage = Stage::new("wake").await;
    let server = || {
        json!({
            "image": image(), "command": ["scripted_server", "--era", "both", "--http", "${PORT}", "--host", "0.0.0.0"],
            "type": "http", "stop_grace": "1s", "idle_timeout": "2s",
        })
    };
    let servers: Map<_, _> = (0..INSTANCES)
        .map(|n| (format!("s{n}"), server()))
        .collect();
    stage.configure("one", &Value::Object(servers));
    let gateway = stage.run("one", None).await;
    let address = gateway.address;
    let call = |n: usize| async move {
        let began = Instant::now();
        let client = Client::new(address, "local");
        let mark = json!({ "mark": n });
        let (tool, arguments) = (format!("s{n}__echo"), mark.to_string());
        let asked = client.modern_patient(&tool, &arguments);
        let answer = timeout(LONG, asked).await.unwrap();
        assert_eq!(answer["result"]["echo"], mark, "{answer}");
        began.elapsed()
    };
    all("called", (0..INSTANCES).map(call)).await;
    becomes("all at rest", || async {
        let all = stage
            .space
            .api::<Deployment>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let rest = |it: &Deployment| it.spec.as_ref().unwrap().replicas == Some(0);
        all.items.len() == INSTANCES
            && all.items.iter().all(rest)
            && stage.processes().await.is_empty()
    })
    .await;
    let mut took = all("woken", (0..INSTANCES).map(call)).await;
    took.sort();
    let ms = |at: usize| took[at].as_millis();
    eprintln!(
        "a wake of {INSTANCES}: fastest {} ms, median {} ms, slowest {} ms",
        ms(0),
        ms(INSTANCES / 2),
        ms(INSTANCES - 1)
    );
    end(gateway).await;
    stage.space.leave().await;
}
