use http::Uri;

use super::*;
use crate::auth::Principal;
use crate::credential::CredentialRule;
use crate::id::PrincipalId;
use crate::server::{Injection, ServerSpec, SlotForm};

fn server(id: &str, slots: &[(&str, bool)]) -> ServerSpec {
    let id = ServerId::new(id).unwrap();
    let mut server = ServerSpec::remote(id, Uri::from_static("http://git/mcp"));
    server.slots = slots
        .iter()
        .map(|(name, required)| CredentialSlot {
            name: SlotName::new(name).unwrap(),
            description: None,
            required: *required,
            inject: Injection::Env((*name).to_owned()),
            form: SlotForm::default(),
        })
        .collect();
    server
}

fn sources(server: &str, slots: &[(&str, Source)]) -> SlotSources {
    let slots = slots
        .iter()
        .map(|(name, source)| (SlotName::new(name).unwrap(), source.clone()))
        .collect();
    BTreeMap::from([(ServerId::new(server).unwrap(), slots)])
}

fn resolver(sources: SlotSources) -> ConfiguredResolver {
    let environment = Environment::from_fn(|name| (name == "TOKEN").then(|| "canary-env".into()));
    ConfiguredResolver::new(Arc::new(StateKey::new([3; 32])), sources).with_environment(environment)
}

fn ann() -> Principal {
    Principal::user(PrincipalId::new("ann").unwrap(), "local")
}

fn ask<'a>(
    principal: &'a Principal,
    server: &'a ServerSpec,
    rule: &'a CredentialRule,
) -> CredentialRequest<'a> {
    CredentialRequest {
        principal,
        server,
        rule,
        rejected: None,
        token: None,
    }
}

fn value(text: &str) -> Source {
    Source::Value(text.to_owned().into())
}

#[tokio::test]
async fn only_servers_with_a_configured_slot_are_covered() {
    let configured = sources("git", &[("token", value("canary-given"))]);
    let resolver = resolver(configured);
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    for (id, slot, covered) in [
        ("git", "token", true),
        ("git", "other", false),
        ("web", "token", false),
    ] {
        let server = server(id, &[(slot, false)]);
        assert_eq!(
            resolver.covers(&ask(&ann, &server, &rule)),
            covered,
            "{id} {slot}"
        );
        let found = resolver.resolve(ask(&ann, &server, &rule)).await.unwrap();
        assert_eq!(found.is_some(), covered, "{id} {slot}");
    }
}

#[tokio::test]
async fn slots_from_several_sources_form_one_credential() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "canary-file\n").unwrap();
    let resolver = resolver(sources(
        "git",
        &[
            ("token", Source::Env("TOKEN".into())),
            ("key", Source::File(file.clone())),
            ("user", value("canary-given")),
        ],
    ));
    let server = server("git", &[("token", true), ("key", true), ("user", true)]);
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let first = resolver.resolve(ask(&ann, &server, &rule)).await;
    let first = first.unwrap().unwrap();
    let text: Vec<_> = first.values.values().map(|v| v.expose_secret()).collect();
    assert_eq!(text, ["canary-file", "canary-env", "canary-given"]);
    assert_eq!(first.owner, Owner::Organization);
    assert!(!format!("{resolver:?} {first:?}").contains("canary"));

    std::fs::write(&file, "canary-next\n").unwrap();
    let next = resolver.resolve(ask(&ann, &server, &rule)).await;
    assert_ne!(next.unwrap().unwrap().revision, first.revision);
}

/// Fake Secrets of a cluster, with a count of the reads.
#[derive(Debug, Default)]
struct Cluster {
    secrets: Mutex<BTreeMap<String, BTreeMap<String, Vec<u8>>>>,
    asked: std::sync::atomic::AtomicUsize,
}

impl Cluster {
    fn put(&self, name: &str, data: &[(&str, &[u8])]) {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_vec()));
        let mut secrets = self.secrets.lock();
        secrets.insert(name.to_owned(), data.collect());
    }
}

#[async_trait]
impl SecretReader for Cluster {
    async fn read(&self, name: &str) -> Result<Option<Arc<crate::credential::SecretData>>> {
        use std::sync::atomic::Ordering;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let secrets = self.secrets.lock();
        let data = secrets.get(name).map(|data| {
            let data = data.iter().map(|(k, v)| (k.clone(), v.clone().into()));
            Arc::new(data.collect())
        });
        Ok(data)
    }
}

fn secret(name: &str, key: &str) -> Source {
    Source::Secret(crate::credential::SecretPlace {
        name: name.into(),
        key: key.into(),
    })
}

#[tokio::test]
async fn secret_keys_are_read_together_and_a_change_yields_a_new_revision() {
    let cluster = Arc::new(Cluster::default());
    cluster.put("git", &[("token", b"canary-one\n"), ("user", b"ann")]);
    let slots = [
        ("token", secret("git", "token")),
        ("user", secret("git", "user")),
    ];
    let resolver = resolver(sources("git", &slots)).with_secrets(Arc::clone(&cluster) as _);
    let git = server("git", &[("token", true), ("user", true)]);
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let first = resolver.resolve(ask(&ann, &git, &rule)).await;
    let first = first.unwrap().unwrap();
    let text: Vec<_> = first.values.values().map(|v| v.expose_secret()).collect();
    assert_eq!(text, ["canary-one", "ann"]);
    assert_eq!(cluster.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(!format!("{resolver:?} {first:?}").contains("canary"));
    let same = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap();
    assert_eq!(same.unwrap().revision, first.revision);
    cluster.put("git", &[("token", b"canary-two"), ("user", b"ann")]);
    let next = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap();
    assert_ne!(next.unwrap().revision, first.revision);
    for (data, kind, said) in [
        (
            &[("token", &b"x"[..])][..],
            ErrorKind::CredentialMissing,
            "key user of secret git is not set; set it",
        ),
        (
            &[("token", &[0xff][..]), ("user", b"ann")][..],
            ErrorKind::Config,
            "slot token of server git cannot be read from key token of secret git",
        ),
    ] {
        cluster.put("git", data);
        let error = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn secret_source_without_a_cluster_is_an_error() {
    let resolver = resolver(sources("git", &[("token", secret("git", "token"))]));
    let git = server("git", &[("token", false)]);
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let error = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "slot token of server git is key token of secret git, and there is no cluster here to read it from"
    );
}

#[tokio::test]
async fn missing_required_slot_names_its_source() {
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let none = Source::Env("NOT_SET".into());
    let resolver = resolver(sources("git", &[("token", none.clone()), ("key", none)]));
    let server_with = server("git", &[("token", true), ("key", false)]);
    let error = resolver.resolve(ask(&ann, &server_with, &rule)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialMissing);
    assert_eq!(
        error.to_string(),
        "server git needs a value for slot token: environment variable NOT_SET is not set; set it where the gateway \
         runs, or run `mcp-orchestrator install git`"
    );
    let optional = server("git", &[("key", false)]);
    let found = resolver.resolve(ask(&ann, &optional, &rule)).await;
    assert!(found.unwrap().unwrap().values.is_empty());
    let more = server("git", &[("key", false), ("third", true)]);
    let error = resolver.resolve(ask(&ann, &more, &rule)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::CredentialMissing);
}

#[tokio::test]
async fn other_owners_and_slots_are_not_resolved() {
    let resolver = resolver(sources("git", &[("token", value("canary"))]));
    let (ann, resolve) = (ann(), CredentialRule::Resolve);
    let git = server("git", &[("token", true)]);
    let pinned = CredentialRule::Pinned(Owner::User(ann.id.clone()));
    let organization = CredentialRule::Pinned(Owner::Organization);
    let other_slot = server("git", &[("other", true)]);
    for (server, rule, mine) in [
        (&git, &resolve, true),
        (&git, &organization, true),
        (&git, &pinned, false),
        (&git, &CredentialRule::None, false),
        (&other_slot, &resolve, false),
    ] {
        let found = resolver.resolve(ask(&ann, server, rule)).await.unwrap();
        assert_eq!(found.is_some(), mine, "{rule:?}");
    }
}

#[tokio::test]
async fn reload_replaces_the_sources() {
    let resolver = resolver(sources("git", &[("token", value("one"))]));
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let git = server("git", &[("token", true)]);
    let first = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap();
    resolver.set_sources(sources("git", &[("token", value("two"))]));
    let next = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap();
    assert_ne!(first.unwrap().revision, next.unwrap().revision);
    resolver.set_sources(SlotSources::new());
    let gone = resolver.resolve(ask(&ann, &git, &rule)).await.unwrap();
    assert!(gone.is_none());
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn resolvers_uphold_the_resolver_contract() {
    use crate::credential::{CacheLimits, CachedResolver, ChainResolver};
    let configured = resolver(sources("git", &[("token", Source::Env("TOKEN".into()))]));
    let other = resolver(sources("jira", &[("token", value("canary-jira"))]));
    let configured: Arc<dyn CredentialResolver> = Arc::new(configured);
    let chain: Arc<dyn CredentialResolver> = Arc::new(ChainResolver::new([
        Arc::new(other) as _,
        configured.clone(),
    ]));
    let cached = Arc::new(CachedResolver::new(chain.clone(), CacheLimits::default()));
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let known = server("git", &[("token", true)]);
    let foreign = server("mail", &[("token", true)]);
    for resolver in [configured, chain, cached] {
        crate::testing::credential::resolver(
            &*resolver,
            ask(&ann, &known, &rule),
            ask(&ann, &foreign, &rule),
        )
        .await;
    }
}

#[tokio::test]
async fn chain_stops_at_the_first_error() {
    use crate::credential::ChainResolver;
    let fails = resolver(sources("git", &[("token", Source::Env("NOT_SET".into()))]));
    let knows = resolver(sources("git", &[("token", value("canary"))]));
    let chain = ChainResolver::new([Arc::new(fails) as _, Arc::new(knows) as _]);
    let (ann, rule) = (ann(), CredentialRule::Resolve);
    let git = server("git", &[("token", true)]);
    let error = chain.resolve(ask(&ann, &git, &rule)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialMissing);
}
