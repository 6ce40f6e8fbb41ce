//! Requests that the API server rejected, and why.

/// A failed request to the cluster.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) error: kube::Error,
    /// Set if a SelfSubjectAccessReview says that the request is allowed.
    pub(crate) allowed: bool,
}

/// Verb, API group and resource.
pub(crate) type Right = (&'static str, &'static str, &'static str);

impl From<kube::Error> for Rejection {
    fn from(error: kube::Error) -> Self {
        let allowed = false;
        Self { error, allowed }
    }
}

impl Rejection {
    /// Returns `true` if the object does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        is_absent(&self.error)
    }

    /// Returns `true` if the object already exists or was changed by another client.
    pub(crate) fn is_conflict(&self) -> bool {
        is_conflict(&self.error)
    }
}

/// Formats an error with its causes, leaving out causes that the text already contains.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

/// Returns `true` if the object does not exist.
pub(crate) fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Returns `true` if the object already exists or was changed by another client.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Returns `true` if RBAC forbids the request, as opposed to admission control or a quota.
pub(crate) fn is_rbac_denial(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    // All authorizers use this form: `pods "a" is forbidden: User "b" cannot get resource "pods" …`.
    status.code == 403 && status.reason == "Forbidden" && status.message.contains("\" cannot ")
}
