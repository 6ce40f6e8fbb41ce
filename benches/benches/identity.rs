//! Authenticating a caller and resolving the credential: the cost must not depend on the number of users.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to fail")]

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box};
use http::Uri;
use mcp_orchestrator_core::auth::{
    Authenticator as _, Directory, NewToken, People, Team, TokenAuthenticator, WithDirectory,
};
use mcp_orchestrator_core::credential::{
    CredentialRequest, CredentialResolver as _, CredentialRule, CredentialStore, Generation,
    InstallationKey, Installations, InstalledResolver, MemoryCredentials, Owner, Precondition,
    Revision, StoredCredential,
};
use mcp_orchestrator_core::id::{PrincipalId, ServerId, SlotName, TeamId};
use mcp_orchestrator_core::server::{CredentialSlot, Injection, ServerSpec, SlotForm};
use secrecy::ExposeSecret as _;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn server(at: usize) -> ServerSpec {
    let id = ServerId::new(format!("server-{at}")).unwrap();
    let mut server = ServerSpec::remote(id, Uri::from_static("http://localhost/mcp"));
    server.slots.push(CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::Env("TOKEN".into()),
        form: SlotForm::default(),
    });
    server
}

struct World {
    runtime: Runtime,
    known: WithDirectory<TokenAuthenticator>,
    resolver: Arc<InstalledResolver>,
    server: ServerSpec,
    parts: http::request::Parts,
    _tasks: TaskTracker,
}

/// Creates users with a token and a team each, and ten servers with an installation for every user.
fn world(users: usize) -> World {
    let runtime = Builder::new_current_thread().build().unwrap();
    let tasks = TaskTracker::new();
    let store: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
    let user = |n: usize| PrincipalId::new(format!("user-{n}")).unwrap();
    let team = |n: usize| Team {
        id: TeamId::new(format!("team-{n}")).unwrap(),
        members: (n * 10..n * 10 + 10).map(user).collect(),
        managers: vec![],
    };
    let people = People {
        teams: (0..users.div_ceil(10)).map(team).collect(),
        admins: vec![],
    };
    let (tokens, resolver, token) = runtime.block_on(async {
        let installations = Installations::new(Arc::clone(&store));
        for n in 0..users {
            for at in 0..10 {
                let key = InstallationKey {
                    server: server(at).id,
                    owner: Owner::User(user(n)),
                };
                let stored = StoredCredential {
                    revision: Revision::new(format!("r{n}")),
                    generation: Generation::default(),
                    values: BTreeMap::from([(SlotName::new("token").unwrap(), "x".into())]),
                    settings: BTreeMap::new(),
                    expires_at: None,
                    renewal: None,
                };
                let put = installations.put(&key, &stored, Precondition::Any);
                put.await.unwrap();
            }
        }
        let tokens = TokenAuthenticator::open(store, &tasks).await.unwrap();
        let mut last = None;
        for n in 0..users {
            let new = NewToken {
                subject: format!("user/user-{n}").parse().unwrap(),
                admin: false,
                gateway: None,
                expires_at: None,
            };
            last = Some(tokens.create(new).await.unwrap().0);
        }
        let resolver = InstalledResolver::open(installations, &tasks)
            .await
            .unwrap();
        (tokens, resolver, last.unwrap())
    });
    let request = http::Request::builder()
        .header("authorization", format!("Bearer {}", token.expose_secret()));
    World {
        known: WithDirectory::new(tokens, Arc::new(Directory::new(&people))),
        parts: request.body(()).unwrap().into_parts().0,
        server: server(7),
        resolver,
        runtime,
        _tasks: tasks,
    }
}

/// A token, its user's teams, and the user's own credential among ten installations per user.
#[divan::bench(args = [10, 100, 1_000])]
fn token_and_credential(bencher: Bencher<'_, '_>, users: usize) {
    let world = world(users);
    bencher.bench_local(|| {
        world.runtime.block_on(async {
            let who = world.known.authenticate(black_box(&world.parts)).await;
            let principal = who.unwrap().unwrap().principal;
            let request = CredentialRequest {
                principal: &principal,
                server: &world.server,
                rule: &CredentialRule::Resolve,
                rejected: None,
                token: None,
            };
            world.resolver.resolve(request).await.unwrap().unwrap()
        })
    });
}
