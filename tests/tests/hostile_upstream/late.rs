//! A server that makes a request wait inside its connection: the request is sent only if its caller still may by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId};
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::raw::{
    Raw, RawAction, Request, error, json_body, json_status, said, say, usual_in, usual_modern,
};

/// What happens to the caller's rights while its request waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// Something that does not concern the request.
    Unrelated,
    HiddenTool,
    NoServer,
    Removed,
    Membership,
}

impl Change {
    fn happens(self, gateway: &Gateway) {
        let hidden = ToolFilter::Some {
            show: Vec::new(),
            hide: vec!["t".into()],
            only: Vec::new(),
        };
        let tools = match self {
            Self::HiddenTool => hidden,
            _ => ToolFilter::All,
        };
        let entry = ViewEntry {
            alias: Alias::new("x").unwrap(),
            server: server_id("x"),
            credential: CredentialRule::None,
            tools,
            overrides: ToolOverrides::default(),
        };
        let eve = PrincipalId::new("eve").unwrap();
        let spec = GatewaySpec {
            id: GatewayId::default_gateway(),
            members: match self {
                Self::Membership => Members::These {
                    users: vec![eve],
                    teams: Vec::new(),
                },
                _ => Members::Everybody,
            },
            names: ToolNames::Bare,
            entries: match self {
                Self::NoServer => Vec::new(),
                _ => vec![entry],
            },
        };
        gateway.router.replace([spec]);
        match self {
            Self::Removed => gateway.orchestrator.apply([]),
            _ => gateway.orchestrator.recheck(),
        }
    }
}

/// How a server makes a request wait before it is sent a second time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    /// The session is lost, and opening the next one takes time.
    Lost,
    /// The session may be lost, which a new one shows.
    Suspected,
    /// The request is sent to another address.
    Redirect,
    /// The modern version is refused at first.
    Version,
}

/// A server whose second session, second address or refusal takes as long as the test wants.
struct Slow {
    upstream: Raw,
    armed: Arc<AtomicBool>,
    word: Arc<Notify>,
}

impl Slow {
    async fn start(wait: Wait) -> Self {
        let (armed, word) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default());
        let (is_armed, until) = (Arc::clone(&armed), Arc::clone(&word));
        let opened = std::sync::atomic::AtomicUsize::new(0);
        let lost = AtomicBool::new(false);
        let upstream = Raw::start(move |request| {
            let slowly = |mut acts: Vec<RawAction>| {
                acts.insert(0, RawAction::Until(Arc::clone(&until)));
                acts
            };
            let is_armed = is_armed.load(Ordering::Acquire);
            if request.method() == "initialize" {
                let name = opened.fetch_add(1, Ordering::AcqRel);
                let usual = usual_in(request, &format!("mcp-session-id: s{name}")).unwrap();
                return if is_armed { slowly(usual) } else { usual };
            }
            let usual = match wait {
                Wait::Version => usual_modern(request),
                _ => usual_in(request, ""),
            };
            let is_first = || is_armed && !lost.swap(true, Ordering::AcqRel);
            usual.unwrap_or_else(|| match wait {
                Wait::Lost if is_first() => say(404, "", ""),
                Wait::Suspected if is_first() => say(400, "", ""),
                Wait::Redirect if is_armed && request.path == "/mcp" => {
                    slowly(say(307, "location: /mcp/", ""))
                }
                Wait::Version if is_first() => slowly(refused(request)),
                _ => json_body(&request.answer("fine")),
            })
        })
        .await;
        Self {
            upstream,
            armed,
            word,
        }
    }

    /// Returns the number of requests after which the next one waits.
    fn before_the_wait(&self, wait: Wait) -> usize {
        match wait {
            Wait::Lost | Wait::Suspected => self.upstream.count(|it| it.method() == "initialize"),
            Wait::Redirect | Wait::Version => self.upstream.calls(),
        }
    }
}

/// Refuses a version that is supported.
fn refused(request: &Request) -> Vec<RawAction> {
    let mut refused = error(request.id(), -32022, "unsupported");
    refused["error"]["data"] = json!({ "supported": ["2026-07-28"], "requested": "2026-07-28" });
    json_status(400, &refused)
}

async fn call(gateway: &Gateway, modern: bool, then: impl AsyncFnOnce()) -> Value {
    if modern {
        let client = gateway.client("ann");
        client.modern_tool("t", "{}").await;
        then().await;
        return client.modern_tool("t", "{}").await;
    }
    let session = gateway.session().await;
    session.tool("t", "{}").await;
    then().await;
    session.tool("t", "{}").await
}

#[tokio::test]
async fn request_is_authorized_again_before_it_is_sent_a_second_time() {
    let changes = [
        Change::Unrelated,
        Change::HiddenTool,
        Change::NoServer,
        Change::Removed,
        Change::Membership,
    ];
    let waits = [
        (Wait::Lost, false),
        (Wait::Lost, true),
        (Wait::Suspected, false),
        (Wait::Suspected, true),
        (Wait::Redirect, false),
        (Wait::Redirect, true),
        (Wait::Version, true),
    ];
    for (wait, modern) in waits {
        for change in changes {
            let slow = Slow::start(wait).await;
            let gateway = Gateway::new().server(slow.upstream.spec("x")).run().await;
            let (armed, ready) = (Notify::new(), &Notify::new());
            let calling = call(&gateway, modern, async || {
                slow.armed.store(true, Ordering::Release);
                armed.notify_one();
                ready.notified().await;
            });
            let changing = async {
                armed.notified().await;
                let (before, calls) = (slow.before_the_wait(wait), slow.upstream.calls());
                ready.notify_one();
                until("the wait", || slow.before_the_wait(wait) > before).await;
                change.happens(&gateway);
                slow.word.notify_one();
                calls
            };
            let both = async { tokio::join!(calling, changing) };
            let (answer, calls) = within("the call", both).await;
            let sent = slow.upstream.calls() - calls;
            let may = change == Change::Unrelated;
            assert_eq!(
                sent,
                if may { 2 } else { 1 },
                "{wait:?} {modern} {change:?}: {answer}"
            );
            assert_eq!(
                said(&answer) == "fine",
                may,
                "{wait:?} {modern} {change:?}: {answer}"
            );
        }
    }
}
