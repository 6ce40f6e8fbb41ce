//! The scripts that a fixture runs, and their instances.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::time::timeout;

use crate::credential::{Credential, Owner, Revision};
use crate::error::Result;
use crate::runtime::{
    Instance, InstanceEvent, InstanceKey, InstanceStatus, LaunchSpec, Progress, RuntimeBackend,
    Scope, SpecDigest,
};
use crate::server::ServerSpec;

/// Timeout for anything that the contract promises to happen.
pub const CONTRACT_TIMEOUT: Duration = Duration::from_secs(120);

/// A program that the suite needs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Echoes each line, and exits at the end of its input.
    Echo,
    /// Writes the lines `first words` and `last words` to its log, then exits with status 3.
    Fail,
    /// Like `Echo`, but ignores the end of its input and, on systems with signals, SIGTERM.
    Stubborn,
    /// Writes the lines `line 1` to `line 100` to its log, then continues like `Echo`.
    Chatty,
    /// Answers each line with the current content of the file for its slot `token`.
    ShowFile,
    /// Listens on its port and accepts connections.
    Http,
    /// Cannot be started: the program does not exist.
    Missing,
}

/// Returns how a backend runs a script, or `None` if it cannot.
///
/// A backend that starts programs runs at least `Echo`, `Fail`, `Stubborn` and `Chatty`; one that only connects to
/// servers runs `Http`.
pub type Fixture<'a> = dyn Fn(Script) -> Option<ServerSpec> + Send + Sync + 'a;

/// The backend and the fixture of a run.
pub(super) struct Suite<'a> {
    pub(super) backend: &'a dyn RuntimeBackend,
    pub(super) fixture: &'a Fixture<'a>,
}

/// A script with its own instance key.
pub(super) struct Case {
    pub(super) key: InstanceKey,
    pub(super) launch: LaunchSpec,
}

impl Suite<'_> {
    pub(super) fn runs(&self, script: Script) -> bool {
        (self.fixture)(script).is_some()
    }

    pub(super) fn case(&self, script: Script, tag: &str) -> Option<Case> {
        let server = (self.fixture)(script)?;
        let mut credential = Credential::none();
        for slot in &server.slots {
            credential.values.insert(slot.name.clone(), "one".into());
        }
        let key = InstanceKey::new(
            server.id.clone(),
            Owner::Organization,
            Revision::none(),
            Scope::Session(tag.into()),
            SpecDigest::from_text("suite"),
        );
        let launch = LaunchSpec {
            server: Arc::new(server),
            credential: Arc::new(credential),
        };
        Some(Case { key, launch })
    }

    pub(super) async fn start(&self, case: &Case) -> Result<Instance> {
        let progress = Progress::unheard();
        let start = self.backend.start(&case.key, &case.launch, &progress);
        soon("a start", start).await
    }

    pub(super) async fn remove(&self, case: &Case) {
        let remove = self.backend.remove(&case.key, Duration::from_millis(100));
        soon("a remove", remove).await.expect("it can be removed");
    }
}

pub(super) async fn next(watch: &mut BoxStream<'static, Result<InstanceEvent>>) -> InstanceEvent {
    let event = soon("an event", watch.next()).await;
    event.expect("the watch goes on").expect("an event")
}

pub(super) async fn until(
    watch: &mut BoxStream<'static, Result<InstanceEvent>>,
    key: &InstanceKey,
    wanted: impl Fn(&InstanceStatus) -> bool,
) -> InstanceStatus {
    loop {
        match next(watch).await {
            InstanceEvent::Is(status) if status.key == *key && wanted(&status) => return status,
            _ => {}
        }
    }
}

pub(super) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(CONTRACT_TIMEOUT, future).await else {
        panic!("{what} takes longer than {CONTRACT_TIMEOUT:?}");
    };
    output
}
