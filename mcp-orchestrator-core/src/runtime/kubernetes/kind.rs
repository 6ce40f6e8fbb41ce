//! The kinds of object that make up an instance.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ApiResource;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Deployment,
    Secret,
    NetworkPolicy,
    Service,
    Pod,
}

impl Kind {
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
        }
    }

    /// Returns API group and resource, as in a Role.
    pub(crate) fn named(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "deployments"),
            Self::Secret => ("", "secrets"),
            Self::NetworkPolicy => ("networking.k8s.io", "networkpolicies"),
            Self::Service => ("", "services"),
            Self::Pod => ("", "pods"),
        }
    }
}
