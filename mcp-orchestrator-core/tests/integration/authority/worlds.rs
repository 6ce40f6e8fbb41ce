//! Random worlds: whatever changes between messages, no message reaches a server that its sender may not use at that
//! moment, and no caller receives messages that concern another.
//!
//! `PROPTEST_CASES` sets the number of worlds. Each run uses the same worlds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use mcp_orchestrator_core::auth::Standing;
use mcp_orchestrator_core::call::Reply;
use mcp_orchestrator_core::id::SessionId;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::server::{Isolation, ServerSpec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::authority::access::Token;
use crate::authority::model::{GATEWAYS, Gate, Model, OWNERS, SERVERS, USERS, owner};
use crate::authority::site::{Session, Site, server};
use crate::authority::steps::{Step, step};

/// Default number of worlds.
const WORLDS: u32 = 128;
/// Time that an action may take before it continues in parallel with the next steps.
const SOLO_TIME: Duration = Duration::from_millis(20);
/// Maximum number of steps for which instances are held.
const MAX_HOLD_STEPS: usize = 8;

/// Receiver of messages that belong to no call.
pub(crate) struct Receiver {
    pub(crate) who: usize,
    pub(crate) gate: usize,
    pub(crate) stream: Option<Reply>,
    /// The step at which its token was revoked.
    pub(crate) revoked: Option<usize>,
    pub(crate) wants: WantedResources,
}

/// The servers with a resource that a receiver is subscribed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedResources {
    pub(crate) known: BTreeSet<usize>,
    /// Those with a request that had no response in time.
    pub(crate) unsure: BTreeSet<usize>,
}

/// The user and the gateway of a step.
#[derive(Clone, Debug)]
pub(crate) struct StepContext {
    pub(crate) who: usize,
    pub(crate) gate: usize,
    /// The session, if the action belongs to one.
    pub(crate) session: Option<SessionId>,
}

/// A session with its stream.
pub(crate) struct OpenSession<'a> {
    pub(crate) who: usize,
    pub(crate) gate: usize,
    pub(crate) session: Session<'a>,
    pub(crate) ear: Receiver,
    pub(crate) token: Arc<Token>,
}

/// A pending request of a server.
pub(crate) struct Question<'a> {
    pub(crate) session: Session<'a>,
    pub(crate) who: usize,
    pub(crate) gate: usize,
    pub(crate) id: Value,
    pub(crate) _call: Reply,
}

pub(crate) struct World<'a> {
    pub(crate) site: &'a Site,
    pub(crate) model: Model,
    /// The model at each step.
    pub(crate) past: Vec<Model>,
    /// The action at each step.
    pub(crate) acts: Vec<Option<StepContext>>,
    pub(crate) seats: Vec<OpenSession<'a>>,
    pub(crate) ears: Vec<Receiver>,
    pub(crate) questions: Vec<Question<'a>>,
    /// Sealed ids with their owners.
    pub(crate) tasks: Vec<(String, usize)>,
    /// Sessions with a revoked token, and the step of the revocation.
    pub(crate) revoked: BTreeMap<SessionId, usize>,
    /// Actions that wait for a credential or for an instance.
    pending: FuturesUnordered<BoxFuture<'a, ()>>,
    held_since: usize,
}

fn specs() -> Vec<ServerSpec> {
    vec![
        server("s", Isolation::Shared, true),
        server("p", Isolation::Principal, true),
        server("o", Isolation::Session, false),
    ]
}

impl<'a> World<'a> {
    fn new(site: &'a Site) -> Self {
        let model = Model {
            applied: (0..SERVERS.len()).collect(),
            ..Model::default()
        };
        Self {
            site,
            model,
            past: Vec::new(),
            acts: Vec::new(),
            seats: Vec::new(),
            ears: Vec::new(),
            questions: Vec::new(),
            tasks: Vec::new(),
            revoked: BTreeMap::new(),
            pending: FuturesUnordered::new(),
            held_since: 0,
        }
    }

    async fn take(&mut self, step: Step) {
        let number = self.past.len();
        self.site.mind.step(number);
        let act = self.actor(&step);
        self.change(&step).await;
        if matches!(
            step,
            Step::Install { .. } | Step::Remove { .. } | Step::Revoke(_)
        ) {
            // These take effect after a moment, all others at once.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.past.push(self.model.clone());
        self.acts.push(act);
        let is_quiet = matches!(step, Step::Quiet);
        self.act(step).await;
        let held = self.site.mind.held();
        if number > self.held_since + MAX_HOLD_STEPS {
            held.iter().for_each(|server| self.site.mind.let_go(server));
        }
        if held.is_empty() {
            self.held_since = number;
        }
        for _ in 0..40 {
            tokio::task::yield_now().await;
            while self.pending.next().now_or_never().flatten().is_some() {}
        }
        self.hear();
        if is_quiet && self.settle().await {
            self.hear();
            self.check_subscriptions();
        }
    }

    /// Releases all servers and waits until nothing happens any more. Returns `false` if an action still waits, for
    /// example for a credential.
    async fn settle(&mut self) -> bool {
        SERVERS
            .iter()
            .for_each(|server| self.site.mind.let_go(server));
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            while self.pending.next().now_or_never().flatten().is_some() {}
        }
        self.pending.is_empty()
    }

    /// Returns the result of an action; `None` if it waits, and continues in parallel with the next steps.
    pub(crate) async fn soon<T: 'a>(
        &mut self,
        act: impl Future<Output = T> + Send + 'a,
    ) -> Option<T> {
        let mut act = Box::pin(act);
        match tokio::time::timeout(SOLO_TIME, &mut act).await {
            Ok(output) => Some(output),
            Err(_) => {
                self.pending.push(act.map(drop).boxed());
                None
            }
        }
    }

    fn actor(&self, step: &Step) -> Option<StepContext> {
        let at = |who: &usize, gate: &usize| {
            let (who, gate) = (*who, *gate);
            let session = None;
            Some(StepContext { who, gate, session })
        };
        let seat = |n: usize| {
            let seat = self.seats.get(n.checked_rem(self.seats.len())?)?;
            let session = Some(seat.session.id.clone());
            Some(StepContext {
                session,
                ..at(&seat.who, &seat.gate)?
            })
        };
        match step {
            Step::Open { who, gate }
            | Step::Modern { who, gate, .. }
            | Step::Listen { who, gate } => at(who, gate),
            Step::Call { by, .. }
            | Step::Notify { by, .. }
            | Step::Subscribe { by, .. }
            | Step::Task { by, .. } => seat(*by),
            Step::Answer(question) => {
                let question = self
                    .questions
                    .get(question.checked_rem(self.questions.len())?)?;
                let session = Some(question.session.id.clone());
                Some(StepContext {
                    session,
                    ..at(&question.who, &question.gate)?
                })
            }
            _ => None,
        }
    }

    /// Revokes a user's token, which ends the sessions that were opened with it.
    fn revoke(&mut self, who: usize) {
        let number = self.past.len();
        for seat in self.seats.iter_mut().filter(|seat| seat.who == who) {
            seat.token.becomes(Standing::Lost);
            seat.ear.revoked.get_or_insert(number);
            self.revoked
                .entry(seat.session.id.clone())
                .or_insert(number);
        }
        self.site.revision.advance();
    }

    async fn change(&mut self, step: &Step) {
        match step {
            Step::Install { server, owner: of } => {
                let revision = self.past.len() as u64;
                self.model.installed.insert((*server, *of), revision);
                let name = format!("r{revision}");
                self.site
                    .install(SERVERS[*server], &owner(*of), &name)
                    .await;
            }
            Step::Remove { server, owner: of }
                if self.model.installed.remove(&(*server, *of)).is_some() =>
            {
                self.site.uninstall(SERVERS[*server], &owner(*of)).await;
            }
            Step::Remove { .. } => {}
            Step::Teams(teams) => {
                self.model.teams.clone_from(teams);
                let members = self.model.members();
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, who)| (*name, &who[..]))
                    .collect();
                self.site.teams(&members);
            }
            Step::Gateway(n, gate) => {
                self.model.gates[*n] = gate.clone();
                self.site.gateways(self.model.specs());
            }
            Step::Reload(applied) => {
                self.model.applied.clone_from(applied);
                let specs = specs().into_iter().enumerate();
                let specs = specs.filter(|(n, _)| applied.contains(n));
                let specs = specs.map(|(_, spec)| Arc::new(spec));
                self.site.orchestrator.apply(specs);
            }
            Step::Revoke(who) => self.revoke(*who),
            _ => {}
        }
    }
}

async fn run(steps: Vec<Step>) -> BTreeMap<String, usize> {
    let site = Site::new(specs(), Limits::default()).await;
    let mut world = World::new(&site);
    let all: BTreeMap<_, _> = (0..SERVERS.len()).map(|n| (n, (None, false))).collect();
    for n in 0..GATEWAYS.len() {
        let gate = Gate {
            users: (0..USERS.len()).collect(),
            teams: BTreeSet::new(),
            servers: all.clone(),
        };
        world.take(Step::Gateway(n, gate)).await;
    }
    for server in 0..2 {
        let owner = OWNERS - 1;
        world.take(Step::Install { server, owner }).await;
    }
    for step in steps.into_iter().chain([Step::Quiet]) {
        world.take(step).await;
    }
    let mut counts = BTreeMap::new();
    let mut owners = HashMap::new();
    for got in site.mind.got() {
        world.check(&got, &mut owners);
        *counts.entry(got.method().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn callers_reach_only_permitted_servers_and_receive_only_their_own_messages() {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = WORLDS;
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let counts = parking_lot::Mutex::new(BTreeMap::<String, usize>::new());
    let steps = prop::collection::vec(step(), 40..160);
    let ran = runner.run(&steps, |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        for (method, count) in runtime.block_on(run(steps)) {
            *counts.lock().entry(method).or_default() += count;
        }
        Ok(())
    });
    ran.unwrap();
    // The worlds are meaningful only if all kinds of messages occur.
    let counts = counts.into_inner();
    for method in [
        "",
        "tools/call",
        "notifications/roots/list_changed",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/get",
        "tasks/list",
    ] {
        assert!(
            counts.get(method).is_some_and(|count| *count > 3),
            "{method:?}: {counts:?}"
        );
    }
    assert!(!counts.contains_key("x/extension"), "{counts:?}");
}
