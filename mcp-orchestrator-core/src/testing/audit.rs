//! The contract suite of [`AuditSink`].

use std::time::Duration;

use bytes::Bytes;

use crate::audit::{Action, AuditEvent, AuditSink, Outcome};
use crate::credential::Owner;
use crate::error::ErrorKind;
use crate::id::{GatewayId, PrincipalId, ServerId};

/// Number of threads that record at the same time.
const THREADS: usize = 4;
/// Number of calls that each thread records. A sink that buffers events must hold this many for each thread.
const CALLS: usize = 16;

/// Verifies the contract, on a sink that is not otherwise in use. It is closed at the end. `recorded` returns how many
/// events the sink has recorded; it is called after the sink was closed.
///
/// # Panics
/// If the sink violates the contract.
pub fn suite(sink: &dyn AuditSink, recorded: impl FnOnce() -> usize) {
    let wants_arguments = sink.wants_arguments();
    let every_kind = every_kind();
    for event in &every_kind {
        sink.record(event);
    }
    // A sink that emits through `tracing` uses the subscriber of the thread that records.
    let subscriber = tracing::dispatcher::get_default(tracing::Dispatch::clone);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let subscriber = &subscriber;
            scope.spawn(move || {
                tracing::dispatcher::with_default(subscriber, || {
                    (0..CALLS).for_each(|call| sink.record(&event(&format!("{thread}-{call}"))));
                });
            });
        }
    });
    assert_eq!(
        sink.wants_arguments(),
        wants_arguments,
        "the answer is fixed"
    );
    sink.close();
    sink.close();
    assert_eq!(
        recorded(),
        every_kind.len() + THREADS * CALLS,
        "each event is recorded once, and before `close` returns"
    );
}

/// Events of every action and outcome, with and without optional members, and names that a format must escape.
fn every_kind() -> Vec<AuditEvent> {
    let actions = [
        Action::Call("tools/call".into()),
        Action::Call("a \"quoted\"\nmethod\u{2028}".into()),
        Action::Install,
        Action::Rotate,
        Action::Uninstall,
        Action::CreateToken,
        Action::RevokeToken,
        Action::Restart,
        Action::Stop,
    ];
    let outcomes = [
        Outcome::Ok,
        Outcome::ServerError,
        Outcome::Failed(ErrorKind::Internal),
        Outcome::Left,
    ];
    let plain = actions.map(|action| AuditEvent::new(None, action));
    let full = outcomes.map(|outcome| AuditEvent {
        outcome,
        arguments: Some(Bytes::from_static(br#"{"a":[1,"\n"]}"#)),
        ..event("a\"b\\c\u{7f}\u{1}")
    });
    plain.into_iter().chain(full).collect()
}

fn event(name: &str) -> AuditEvent {
    let principal = PrincipalId::new("ann").expect("a name");
    AuditEvent {
        took: Duration::MAX,
        gateway: Some(GatewayId::default_gateway()),
        server: Some(ServerId::new("git").expect("a name")),
        name: Some(name.into()),
        owner: Some(Owner::User(principal.clone())),
        instance: Some("git-1".into()),
        ..AuditEvent::new(Some(principal), Action::Call("tools/call".into()))
    }
}
