//! Pods for the tests: a shell in the suite's image.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, Pod, PodSpec, SeccompProfile, SecurityContext,
};
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions::is_pod_running};

use crate::kubernetes::cluster::{TestNamespace, named};

/// Returns the image of the pods, which has a shell.
pub(crate) fn image() -> String {
    std::env::var("MCP_ORCHESTRATOR_TEST_REACH_IMAGE")
        .unwrap_or_else(|_| "localhost/reach:1".to_owned())
}

/// The name of the container in every pod.
pub(crate) const CONTAINER: &str = "server";

impl TestNamespace {
    /// Runs this shell script in a pod until it is deleted; returns the pod's address.
    pub(crate) async fn pod(&self, name: &str, script: &str) -> String {
        let container = Container {
            name: CONTAINER.to_owned(),
            image: Some(image()),
            command: Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]),
            stdin: Some(true),
            stdin_once: Some(false),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                run_as_non_root: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    ..Capabilities::default()
                }),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    ..SeccompProfile::default()
                }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        };
        let pod = Pod {
            metadata: named(name),
            spec: Some(PodSpec {
                containers: vec![container],
                termination_grace_period_seconds: Some(1),
                automount_service_account_token: Some(false),
                ..PodSpec::default()
            }),
            ..Pod::default()
        };
        let pods = self.api::<Pod>();
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let running = await_condition(pods, name, is_pod_running()).await.unwrap();
        running.unwrap().status.unwrap().pod_ip.unwrap()
    }
}
