//! The details of an instance for operators, with kubectl commands that show the same or open a shell in the pod.

use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::runtime::kubernetes::names::{CONTAINER, INSTANCE};
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::{Description, InstanceEvent, InstanceKey, InstanceNote};

impl Shared {
    pub(crate) async fn describe(
        &self,
        key: &InstanceKey,
        watch: BoxStream<'static, Result<InstanceEvent>>,
    ) -> Result<Description> {
        let mut description = Description::from_watch(watch, key).await?;
        let view = self.store.view(key.name());
        let details = &mut description.details;
        let mut detail = |name: &str, value: String| details.push((name.to_owned(), value));
        detail("namespace", self.access.namespace().to_owned());
        if let Some(deployment) = &view.deployment {
            detail("deployment", key.name().to_owned());
            detail("replicas", deployment.replicas.to_string());
        }
        let pod = view.pods.last();
        if let Some(pod) = pod {
            detail("pod", pod.name.clone());
            for (name, value) in [
                ("node", &pod.node),
                ("address", &pod.address),
                ("why", &pod.reason),
            ] {
                if let Some(value) = value {
                    detail(name, value.clone());
                }
            }
            detail("restarts", pod.container.restarts.to_string());
            if let Some(end) = &pod.container.before {
                detail(
                    "run before",
                    format!("{} (exit code {})", end.reason, end.code),
                );
            }
        }
        let events = view.warnings.iter().map(|told| InstanceNote {
            at: None,
            text: format!("{}: {} ({} times)", told.reason, told.message, told.count),
        });
        description.events.extend(events);
        description.commands = commands(
            self.access.namespace(),
            key,
            pod.map(|pod| pod.name.as_str()),
        );
        Ok(description)
    }
}

fn commands(namespace: &str, key: &InstanceKey, pod: Option<&str>) -> Vec<(String, String)> {
    let kubectl = format!("kubectl -n {namespace}");
    let kinds = "deploy,pod,secret,networkpolicy,service";
    let mut lines = vec![(
        "its objects",
        format!("{kubectl} get {kinds} -l {INSTANCE}={key}"),
    )];
    if let Some(pod) = pod {
        lines.extend([
            (
                "its pod, with the events",
                format!("{kubectl} describe pod {pod}"),
            ),
            ("its output", format!("{kubectl} logs {pod} -c {CONTAINER}")),
            (
                "a shell in it",
                format!("{kubectl} exec -it {pod} -c {CONTAINER} -- sh"),
            ),
        ]);
    }
    lines
        .into_iter()
        .map(|(what, line)| (what.to_owned(), line))
        .collect()
}
