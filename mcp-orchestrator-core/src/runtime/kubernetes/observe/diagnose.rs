//! Diagnoses why a pod does not become ready: whether waiting can help, and what to fix if it cannot.

use super::objects::{PodWarning, Termination, Waiting};

/// Whether to keep waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep waiting, for this reason.
    Wait(String),
    /// Give up, for this reason.
    Fail(String),
}

use Verdict::{Fail, Wait};

/// Diagnoses a container in the `waiting` state.
pub(crate) fn waiting(waiting: &Waiting, warnings: &[PodWarning]) -> Verdict {
    let Waiting { reason, message } = waiting;
    let said = |help: &str| {
        let message = if message.is_empty() {
            "no more is said"
        } else {
            message
        };
        format!("{reason}: {message}{help}")
    };
    match reason.as_str() {
        "InvalidImageName" => Fail(said("; mend `image`")),
        "ErrImageNeverPull" => Fail(said(
            "; the node does not have the image: put it there, or set `pull_policy`",
        )),
        "CreateContainerConfigError" => Fail(config_error(message)),
        // The container runtime is still busy with the same container; the kubelet retries.
        "CreateContainerError"
            if message.contains("deadline exceeded") || message.contains("is reserved") =>
        {
            Wait(said(""))
        }
        "CreateContainerError" | "RunContainerError" => Fail(said(program_help(message))),
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => {
            Wait(said(&image_help(message, warnings)))
        }
        "ContainerCreating" | "PodInitializing" | "" => creating(warnings),
        _ => Wait(said("")),
    }
}

/// Diagnoses a pod that has a node while its container is being created. Only a warning event can report a problem
/// here.
fn creating(warnings: &[PodWarning]) -> Verdict {
    let of = |reason: &str| warnings.iter().rev().find(|told| told.reason == reason);
    if let Some(told) = of("FailedMount").or_else(|| of("FailedAttachVolume")) {
        let text = format!("{}: {}", told.reason, told.message);
        return if told.message.contains("not found") {
            Fail(format!("{text}; create it, or mend `volumes`"))
        } else {
            Wait(text)
        };
    }
    match of("FailedCreatePodSandBox") {
        Some(told) => Wait(format!("{}: {}", told.reason, told.message)),
        None => Wait("pulling the image and creating the container".to_owned()),
    }
}

fn config_error(message: &str) -> String {
    let help = if message.contains("runAsNonRoot") || message.contains("non-root") {
        "; the image runs as root: set `run_as_user`, or allow it with `allow_root`"
    } else if message.contains("not found") {
        "; create it, or mend `env_from`"
    } else {
        ""
    };
    format!("CreateContainerConfigError: {message}{help}")
}

fn program_help(message: &str) -> &'static str {
    if message.contains("no such file") || message.contains("not found in $PATH") {
        "; the image has no such program: mend `command` or `image`"
    } else if message.contains("permission denied") {
        "; the program cannot be executed by the user that it runs as"
    } else {
        ""
    }
}

/// The reason for a failed pull is in a warning event, while the container's status only reports the back-off.
fn image_help(message: &str, warnings: &[PodWarning]) -> String {
    let why = warnings.iter().rev().find(|told| {
        told.reason == "Failed" && told.message.contains("pull") && !message.contains(&told.message)
    });
    let why = why
        .map(|told| format!(" ({})", told.message))
        .unwrap_or_default();
    format!("{why}; see to `image` and `pull_secrets`")
}

/// Diagnoses a program that ended before it was ready.
pub(crate) fn crashed(end: &Termination) -> Verdict {
    Fail(ended(end))
}

/// Describes how a program ended, in a few words.
pub(crate) fn ended(end: &Termination) -> String {
    let told = match end.reason.as_str() {
        "OOMKilled" => {
            "OOMKilled: it took more memory than its limit; raise `resources.limits.memory`"
                .to_owned()
        }
        "ContainerCannotRun" | "StartError" => {
            let help = program_help(&end.message);
            return format!("{}: {}{help}", end.reason, end.message);
        }
        "Completed" | "Error" | "" => format!("exit status {}", end.code),
        other => format!("{other}, exit status {}", end.code),
    };
    if end.message.is_empty() {
        told
    } else {
        format!("{told}: {}", end.message)
    }
}

/// Explains why the pod cannot be scheduled.
pub(crate) fn unscheduled(message: &str) -> String {
    let help = if message.contains("Insufficient") {
        "; lower `resources.requests`, or add nodes"
    } else if message.contains("taint")
        || message.contains("selector")
        || message.contains("affinity")
    {
        "; see to `node_selector`, `tolerations` and `affinity`"
    } else if message.contains("persistentvolumeclaim") {
        "; see to `volumes`"
    } else {
        ""
    };
    format!("no node takes the pod: {message}{help}")
}

/// Diagnoses why no pod is created for the Deployment.
pub(crate) fn refused(message: &str) -> Verdict {
    let help = if message.contains("exceeded quota") {
        "; lower `resources`, or have the namespace's quota raised"
    } else if message.contains("violates PodSecurity") {
        "; the namespace does not allow what `security` or the patch asks for"
    } else if message.contains("serviceaccount") && message.contains("not found") {
        "; create the service account, or mend `service_account`"
    } else if message.contains("is invalid") || message.contains("Invalid value") {
        "; mend the server's settings for its pod"
    } else if message.contains("forbidden") || message.contains("denied") {
        ""
    } else {
        return Wait(format!("the cluster makes no pod: {message}"));
    };
    Fail(format!("the cluster makes no pod: {message}{help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reason: &str, message: &str) -> Verdict {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        waiting(&Waiting { reason, message }, &[])
    }

    fn failed(verdict: Verdict) -> Option<String> {
        match verdict {
            Fail(text) => Some(text),
            Wait(_) => None,
        }
    }

    #[test]
    fn permanent_failure_names_the_setting_to_fix() {
        for (verdict, key) in [
            (of("InvalidImageName", "bad"), "`image`"),
            (of("ErrImageNeverPull", "absent"), "`pull_policy`"),
            (
                of("CreateContainerConfigError", "secret \"a\" not found"),
                "`env_from`",
            ),
            (
                of(
                    "CreateContainerConfigError",
                    "container has runAsNonRoot and image will run as root",
                ),
                "`run_as_user`",
            ),
            (
                of(
                    "RunContainerError",
                    "exec: \"x\": executable file not found in $PATH",
                ),
                "`command`",
            ),
            (
                refused("pods \"a\" is forbidden: exceeded quota: small"),
                "quota",
            ),
            (
                refused("violates PodSecurity \"restricted:latest\""),
                "`security`",
            ),
            (
                refused("error looking up service account a/b: serviceaccount \"b\" not found"),
                "`service_account`",
            ),
        ] {
            let text = failed(verdict).unwrap();
            assert!(text.contains(key), "{text}");
        }
    }

    #[test]
    fn transient_failures_are_waited_out() {
        for verdict in [
            of("ImagePullBackOff", "Back-off pulling image"),
            of("ContainerCreating", ""),
            of("CreateContainerError", "context deadline exceeded"),
            refused("etcdserver: request timed out"),
        ] {
            assert_eq!(failed(verdict), None);
        }
        let told = PodWarning {
            reason: "FailedMount".into(),
            message: "configmap \"a\" not found".into(),
            count: 1,
        };
        assert!(failed(creating(&[told])).unwrap().contains("`volumes`"));
    }

    #[test]
    fn container_exit_is_summarized() {
        let end = |reason: &str, code| Termination {
            container: None,
            code,
            reason: reason.into(),
            message: String::new(),
        };
        assert_eq!(ended(&end("Error", 3)), "exit status 3");
        assert!(ended(&end("OOMKilled", 137)).contains("`resources.limits.memory`"));
    }
}
