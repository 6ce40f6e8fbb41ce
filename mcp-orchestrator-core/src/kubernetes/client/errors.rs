//! Errors from the cluster, with what failed, on which object, and how to fix it.

use std::fmt;
use std::time::Duration;

use super::rejection::{Rejection, Right, causes, is_rbac_denial};
use crate::error::{Error, ErrorKind};

/// Retry delay if the cluster does not specify one.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why the cluster cannot be accessed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error(
        "no cluster is configured: name a file by --kubeconfig or KUBECONFIG; this is no pod, and ~/.kube/config is not there"
    )]
    Nothing,
    #[error("kubeconfig {0} is not there")]
    Missing(String),
    #[error("kubeconfig {0} cannot be used: {1}")]
    Kubeconfig(String, String),
    #[error("kubeconfig {0} has no current context: name one of {1} by --context")]
    NoContext(String, String),
    #[error("kubeconfig {0} has no context {1}: there are {2}")]
    UnknownContext(String, String, String),
    #[error("the service account of this pod cannot be used: {0}")]
    Inside(String),
    #[error("the credentials for the cluster cannot be used: {0}")]
    Credentials(String),
    #[error("TLS to the cluster cannot be set up: {0}")]
    Tls(String),
    #[error("proxy {0} cannot be used: http, https and socks5 can")]
    Proxy(String),
    #[error("{0} does not answer")]
    Unreachable(String, #[source] Box<Error>),
    #[error("namespace {0} does not exist: create it, or name another one by --namespace")]
    NoNamespace(String),
    #[error("reading the cluster's configuration was broken off")]
    BrokenOff,
}

impl From<AccessError> for Error {
    fn from(error: AccessError) -> Self {
        let text = error.to_string();
        match error {
            AccessError::Unreachable(_, cause) => Self::new(cause.kind(), text).with_source(cause),
            _ => Self::new(ErrorKind::Config, text),
        }
    }
}

/// The request timed out.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs())]
pub(crate) struct RequestTimeout(pub(crate) Duration);

/// A request to the cluster, for use in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action<'a> {
    verb: &'static str,
    /// As in a rule of a Role, such as `pods/attach`.
    resource: &'static str,
    group: &'static str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Action<'a> {
    /// Creates an action: this verb on this resource of the core API group.
    pub(crate) fn new(verb: &'static str, resource: &'static str, namespace: &'a str) -> Self {
        Self {
            verb,
            resource,
            group: "",
            namespace,
            name: "",
        }
    }

    /// Sets the API group of the resource.
    pub(crate) fn of(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    /// Sets the name of the object.
    pub(crate) fn on(mut self, name: &'a str) -> Self {
        self.name = name;
        self
    }

    /// Returns the Role rule that allows this action.
    pub(crate) fn rule(&self) -> String {
        format!(
            "{{apiGroups: [{:?}], resources: [{:?}], verbs: [{:?}]}}",
            self.group, self.resource, self.verb
        )
    }

    /// Returns the right that this action needs.
    pub(crate) fn right(&self) -> Right {
        (self.verb, self.group, self.resource)
    }

    /// Converts a refusal into an error with its kind, a hint and a retry delay.
    pub(crate) fn error(&self, rejection: impl Into<Rejection>) -> Error {
        let Rejection { error, allowed } = rejection.into();
        let rbac_denial = is_rbac_denial(&error);
        let kube::Error::Api(status) = error else {
            return self.unanswered(&error);
        };
        let said = if status.message.is_empty() {
            &status.reason
        } else {
            &status.message
        };
        let (kind, help) = match status.code {
            401 => (
                ErrorKind::Config,
                ": the cluster does not know who asks; see to the kubeconfig's credentials"
                    .to_owned(),
            ),
            403 if rbac_denial && allowed => (
                ErrorKind::Unavailable,
                ", though a review of the rights allows it: the API server may have come back just now"
                    .to_owned(),
            ),
            403 if rbac_denial => (
                ErrorKind::Config,
                format!(": the Role needs the rule {}", self.rule()),
            ),
            403 => (ErrorKind::StartFailed, String::new()),
            409 => (ErrorKind::Conflict, String::new()),
            400 | 422 => (ErrorKind::StartFailed, String::new()),
            _ => (ErrorKind::Unavailable, String::new()),
        };
        let new = Error::new(
            kind,
            format!("{self} was refused with {}{help}: {said}", status.code),
        );
        let waits = matches!(status.code, 429 | 500..) || allowed;
        let after = status.details.as_ref().map(|d| d.retry_after_seconds);
        match after.filter(|seconds| *seconds > 0) {
            Some(seconds) if waits => new.with_retry_after(Duration::from_secs(seconds.into())),
            None if waits => new.with_retry_after(RETRY_AFTER),
            _ => new,
        }
    }

    /// Converts a request without a response, or without a readable one, into an error.
    fn unanswered(&self, error: &kube::Error) -> Error {
        let kind = match error {
            kube::Error::Service(cause) if cause.is::<RequestTimeout>() => ErrorKind::TimedOut,
            kube::Error::Auth(_) => ErrorKind::Config,
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => ErrorKind::Internal,
            _ => ErrorKind::Unavailable,
        };
        let new = Error::new(kind, format!("{self} failed: {}", causes(error)));
        match kind {
            ErrorKind::TimedOut | ErrorKind::Unavailable => new.with_retry_after(RETRY_AFTER),
            _ => new,
        }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, .. } = self;
        write!(f, "kubernetes: {verb} {resource}")?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.namespace.is_empty() {
            write!(f, " in namespace {}", self.namespace)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "pods is forbidden: User \"a\" cannot list resource \"pods\"";

    fn status(code: u16, reason: &str, said: &str) -> kube::Error {
        let status = kube::core::Status::failure(said, reason).with_code(code);
        kube::Error::Api(status.boxed())
    }

    fn refused(code: u16, reason: &str) -> Error {
        Action::new("list", "pods", "team").error(status(code, reason, SAID))
    }

    #[test]
    fn refusal_names_the_verb_resource_and_missing_rule() {
        let error = refused(403, "Forbidden");
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(text.starts_with("kubernetes: list pods in namespace team "));
        let rule = r#"{apiGroups: [""], resources: ["pods"], verbs: ["list"]}"#;
        assert!(text.contains(rule), "{text}");
    }

    #[test]
    fn rule_is_named_only_if_it_is_missing() {
        let action = Action::new("list", "pods", "team");
        let allowed = Rejection {
            error: status(403, "Forbidden", SAID),
            allowed: true,
        };
        let error = action.error(allowed);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
        assert!(!error.to_string().contains("the Role needs"), "{error}");
        for said in [
            "pods \"a\" is forbidden: exceeded quota: compute",
            "admission webhook \"x\" denied the request",
        ] {
            let error = action.error(status(403, "Forbidden", said));
            assert_eq!(error.kind(), ErrorKind::StartFailed);
            assert!(!error.to_string().contains("the Role needs"), "{error}");
        }
    }

    #[test]
    fn each_status_maps_to_an_error_kind() {
        for (code, kind) in [
            (401, ErrorKind::Config),
            (404, ErrorKind::Unavailable),
            (409, ErrorKind::Conflict),
            (410, ErrorKind::Unavailable),
            (422, ErrorKind::StartFailed),
            (429, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
        ] {
            let error = refused(code, "");
            assert_eq!(error.kind(), kind, "{code}");
            assert_eq!(error.retry_after().is_some(), code == 429 || code >= 500);
        }
        let late = kube::Error::Service(Box::new(RequestTimeout(Duration::from_secs(30))));
        let error = Action::new("get", "pods", "team").on("a").error(late);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("no answer within 30 s"));
    }
}
