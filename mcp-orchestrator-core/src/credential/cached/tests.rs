use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::Uri;
use tokio::sync::Semaphore;

use super::*;
use crate::auth::Principal;
use crate::credential::{ChainResolver, CredentialRule, Generation};
use crate::error::{Error, ErrorKind};
use crate::id::PrincipalId;
use crate::server::ServerSpec;

/// A resolver that answers when the test releases it, each time with a newer generation.
#[derive(Debug)]
struct Slow {
    asked: AtomicUsize,
    let_go: Semaphore,
    lasts: Option<Duration>,
    fails: Mutex<bool>,
}

#[async_trait]
impl CredentialResolver for Slow {
    async fn resolve(&self, _: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        let generation = self.asked.fetch_add(1, Ordering::SeqCst) as u64;
        self.let_go.acquire().await.unwrap().forget();
        if *self.fails.lock() {
            return Err(Error::new(ErrorKind::Unavailable, "no answer"));
        }
        Ok(Some(Arc::new(Credential {
            generation: Generation(generation),
            expires_at: self.lasts.map(|lasts| SystemTime::now() + lasts),
            ..Credential::none()
        })))
    }
}

fn slow(free: usize, lasts: Option<Duration>, entries: usize) -> (Arc<Slow>, CachedResolver) {
    let slow = Arc::new(Slow {
        asked: AtomicUsize::new(0),
        let_go: Semaphore::new(free),
        lasts,
        fails: Mutex::new(false),
    });
    let limits = CacheLimits {
        entries,
        ..CacheLimits::default()
    };
    let inner: Arc<dyn CredentialResolver> = slow.clone();
    (slow, CachedResolver::new(inner, limits))
}

struct Caller(Principal, ServerSpec);

impl Caller {
    fn new(name: &str) -> Self {
        let id = ServerId::new("git").unwrap();
        let server = ServerSpec::remote(id, Uri::from_static("http://git/mcp"));
        Self(
            Principal::user(PrincipalId::new(name).unwrap(), "local"),
            server,
        )
    }

    fn ask<'a>(&'a self, rejected: Option<&'a Credential>) -> CredentialRequest<'a> {
        CredentialRequest {
            principal: &self.0,
            server: &self.1,
            rule: &CredentialRule::Resolve,
            rejected: rejected.map(|old| (&old.revision, old.generation)),
            token: None,
        }
    }
}

async fn get(cache: &CachedResolver, request: CredentialRequest<'_>) -> Arc<Credential> {
    cache.resolve(request).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_lookup_that_survives_the_first() {
    let (slow, cache) = slow(0, None, 100);
    let ann = Caller::new("ann");
    let mut first = Box::pin(cache.resolve(ann.ask(None)));
    assert!(first.as_mut().now_or_never().is_none());
    let mut others = Box::pin(join_all((0..50).map(|_| cache.resolve(ann.ask(None)))));
    assert!(others.as_mut().now_or_never().is_none());
    drop(first);
    slow.let_go.add_permits(1);
    for answer in others.await {
        assert_eq!(answer.unwrap().unwrap().generation, Generation(0));
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
}

/// Has no credential for any server, and fails if it is asked.
#[derive(Debug)]
struct Covers(bool);

#[async_trait]
impl CredentialResolver for Covers {
    async fn resolve(&self, _: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        Err(Error::new(ErrorKind::Internal, "was asked"))
    }

    fn covers(&self, _: &CredentialRequest<'_>) -> bool {
        self.0
    }
}

#[tokio::test]
async fn server_without_a_source_is_not_looked_up() {
    let ann = Caller::new("ann");
    for covers in [false, true] {
        let cache = CachedResolver::new(Arc::new(Covers(covers)), CacheLimits::default());
        assert_eq!(cache.covers(&ann.ask(None)), covers);
        let chain = ChainResolver::new([Arc::new(cache) as Arc<dyn CredentialResolver>]);
        assert_eq!(chain.covers(&ann.ask(None)), covers);
        let found = chain.resolve(ann.ask(None)).await;
        assert_eq!(found.is_err(), covers, "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn abandoned_lookup_is_repeated() {
    let (slow, cache) = slow(0, None, 100);
    let ann = Caller::new("ann");
    assert!(cache.resolve(ann.ask(None)).now_or_never().is_none());
    slow.let_go.add_permits(1);
    assert_eq!(get(&cache, ann.ask(None)).await.generation, Generation(1));
}

#[tokio::test(start_paused = true)]
async fn credential_is_cached_for_its_lifetime_up_to_the_limit() {
    let ann = Caller::new("ann");
    for (lasts, kept) in [(None, 29), (Some(8), 5), (Some(3600), 29)] {
        let (slow, cache) = slow(10, lasts.map(Duration::from_secs), 100);
        get(&cache, ann.ask(None)).await;
        tokio::time::advance(Duration::from_secs(kept)).await;
        assert!(cache.kept(&ann.ask(None)).is_some(), "{lasts:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(cache.kept(&ann.ask(None)).is_none(), "{lasts:?}");
        get(&cache, ann.ask(None)).await;
        assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_credential_is_looked_up_once_for_all_waiters() {
    let (slow, cache) = slow(1, None, 100);
    let ann = Caller::new("ann");
    let old = get(&cache, ann.ask(None)).await;
    let refused: Vec<_> = (0..20)
        .map(|_| cache.resolve(ann.ask(Some(&old))))
        .collect();
    let mut refused = Box::pin(join_all(refused));
    assert!(refused.as_mut().now_or_never().is_none());
    assert!(cache.kept(&ann.ask(None)).is_none());
    slow.let_go.add_permits(1);
    for answer in refused.await {
        assert_eq!(answer.unwrap().unwrap().generation, Generation(1));
    }
    assert_eq!(
        get(&cache, ann.ask(Some(&old))).await.generation,
        Generation(1)
    );
    assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn late_answer_does_not_overwrite_a_newer_one() {
    let (slow, cache) = slow(0, None, 100);
    let ann = Caller::new("ann");
    let mut plain = Box::pin(cache.resolve(ann.ask(None)));
    assert!(plain.as_mut().now_or_never().is_none());
    let old = Credential::none();
    let mut newer = Box::pin(cache.resolve(ann.ask(Some(&old))));
    assert!(newer.as_mut().now_or_never().is_none());
    slow.let_go.add_permits(2);
    newer.await.unwrap();
    plain.await.unwrap();
    assert_eq!(
        cache.kept(&ann.ask(None)).unwrap().generation,
        Generation(1)
    );
}

#[tokio::test(start_paused = true)]
async fn error_reaches_all_waiters_and_is_not_cached() {
    let (slow, cache) = slow(10, None, 100);
    let ann = Caller::new("ann");
    *slow.fails.lock() = true;
    let answers = join_all((0..3).map(|_| cache.resolve(ann.ask(None)))).await;
    assert!(answers.iter().all(|answer| answer.is_err()));
    *slow.fails.lock() = false;
    get(&cache, ann.ask(None)).await;
}

#[tokio::test(start_paused = true)]
async fn cache_is_bounded_and_keeps_callers_separate() {
    let (slow, cache) = slow(1000, None, 32);
    for n in 0..500 {
        let caller = Caller::new(&format!("user{n}"));
        assert_eq!(
            get(&cache, caller.ask(None)).await.generation,
            Generation(n)
        );
    }
    let kept = (0..500).filter(|n| {
        let caller = Caller::new(&format!("user{n}"));
        cache.kept(&caller.ask(None)).is_some()
    });
    assert!(kept.count() <= 32);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 500);
}

#[tokio::test(start_paused = true)]
async fn forgotten_credential_is_looked_up_again() {
    let (slow, cache) = slow(10, None, 100);
    let ann = Caller::new("ann");
    get(&cache, ann.ask(None)).await;
    cache.forget(&ServerId::new("jira").unwrap());
    assert!(cache.kept(&ann.ask(None)).is_some());
    cache.forget(&ann.1.id);
    get(&cache, ann.ask(None)).await;
    cache.clear();
    assert!(cache.kept(&ann.ask(None)).is_none());
    assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
}
