//! Fetches the lists of a running instance, page by page.
//!
//! Lists are independent: one that fails, or does not arrive, does not affect the others. They are fetched one after
//! the other, but a slow list delays the next one only briefly.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::collector::{Intake, Next};
use super::{Kept, KeptItem, ListState};
use crate::call::own;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, request};
use crate::limits::{
    MAX_HELLO_BYTES, MAX_IDLE_PAGES, MAX_INLINE_PAGE_BYTES, MAX_LIST_PAGES, MAX_LIST_TIME,
};
use crate::pool::{Caller, Lease};
use crate::protocol::{Era, code, method};
use crate::router::ItemKind;
use crate::transport::{Check, Outgoing};

/// How long a slow list delays the next one.
const HEAD_START: Duration = Duration::from_millis(500);

/// What an instance offers.
pub(crate) struct Fetched {
    pub(crate) kept: Kept,
    /// The first error, if no list could be fetched.
    pub(crate) failure: Option<Error>,
}

/// Result of fetching one list.
struct Outcome {
    kind: ItemKind,
    /// Items received, including those before an error.
    items: Vec<KeptItem>,
    /// How long they may be cached, in milliseconds.
    ttl_ms: Option<u64>,
    state: Result<ListState>,
}

/// Fetches all lists of an instance and its description of itself. `each` is called whenever more has arrived.
///
/// # Errors
/// If the instance does not describe itself, or with too many bytes.
pub(crate) async fn fetch(
    lease: &Lease,
    before: Option<&Kept>,
    mut each: impl FnMut(&Kept),
) -> Result<Fetched> {
    // Ask a server that supports both eras in the modern one, which needs no session.
    let caller = Caller::engine(Era::Modern);
    let hello = lease.link.hello(&caller).await?;
    if hello.result.len() > MAX_HELLO_BYTES {
        let text = format!("the server says more than {MAX_HELLO_BYTES} bytes of itself");
        return Err(Error::new(ErrorKind::Protocol, text));
    }
    let mut kept = Kept::new(hello);
    let (asked, declared) = offered(&kept);
    for kind in ItemKind::ALL {
        if !asked.contains(&kind) {
            kept.set(kind, Vec::new(), ListState::Whole);
        }
    }
    each(&kept);
    let (mut came, mut failure) = (0, None);
    let mut waiting = asked.into_iter();
    let mut running: FuturesUnordered<BoxFuture<'_, Outcome>> = FuturesUnordered::new();
    loop {
        if running.is_empty() {
            let Some(kind) = waiting.next() else { break };
            running.push(list(lease, &caller, kind).boxed());
        }
        let outcome = tokio::select! {
            Some(outcome) = running.next() => outcome,
            () = sleep(HEAD_START), if waiting.len() > 0 => {
                running.extend(waiting.next().map(|kind| list(lease, &caller, kind).boxed()));
                continue;
            }
        };
        let error = settle(lease, &mut kept, before, outcome, declared);
        came += usize::from(error.is_none());
        failure = failure.or(error);
        each(&kept);
    }
    let failure = failure.filter(|_| came == 0);
    Ok(Fetched { kept, failure })
}

/// Returns the lists to fetch, and whether the server declares them. A server that declares none may still have tools:
/// clients that ignore the declaration list them.
fn offered(kept: &Kept) -> (Vec<ItemKind>, bool) {
    let offers = |kind: &ItemKind| kept.declares(*kind);
    let declared: Vec<_> = ItemKind::ALL.into_iter().filter(offers).collect();
    if declared.is_empty() {
        return (vec![ItemKind::Tool], false);
    }
    (declared, true)
}

/// Records the outcome of a list; returns the error if it failed.
fn settle(
    lease: &Lease,
    kept: &mut Kept,
    before: Option<&Kept>,
    outcome: Outcome,
    declared: bool,
) -> Option<Error> {
    let (kind, server) = (outcome.kind, lease.key.server());
    let error = match outcome.state {
        Ok(state) => {
            kept.set(kind, outcome.items, state);
            if kept.era == Era::Modern {
                // Legacy servers do not know the member.
                kept.set_ttl_ms(kind, outcome.ttl_ms);
            }
            return None;
        }
        Err(error) => error,
    };
    if !declared {
        tracing::debug!(%server, %error, "a list that is not declared does not come");
        kept.set(kind, outcome.items, ListState::Whole);
        return None;
    }
    let known = before.map_or(&[][..], |before| before.items(kind));
    tracing::warn!(%server, list = method_of(kind), %error, "a list cannot be fetched; the others are shown");
    let items = if known.len() > outcome.items.len() {
        known.to_vec()
    } else {
        outcome.items
    };
    kept.set(kind, items, ListState::Failed);
    Some(error)
}

async fn list(lease: &Lease, caller: &Caller, kind: ItemKind) -> Outcome {
    let mut intake = Some(Intake::new(kind));
    let state = pages(lease, caller, kind, &mut intake).await;
    let ttl_ms = intake.as_ref().and_then(Intake::ttl_ms);
    let (items, reports) = intake.map(Intake::finish).unwrap_or_default();
    if !reports.is_empty() {
        let (server, list) = (lease.key.server(), method_of(kind));
        tracing::warn!(%server, list, "{reports}");
    }
    Outcome {
        kind,
        items,
        ttl_ms,
        state,
    }
}

/// Reads all pages of a list. Items received before an error remain in `intake`.
async fn pages(
    lease: &Lease,
    caller: &Caller,
    kind: ItemKind,
    intake: &mut Option<Intake>,
) -> Result<ListState> {
    let until = Instant::now() + MAX_LIST_TIME;
    let mut seen: HashSet<u64> = HashSet::new();
    let hasher = foldhash::fast::RandomState::default();
    let mut cursor: Option<String> = None;
    let mut idle = 0;
    for page in 0..MAX_LIST_PAGES {
        let params = cursor
            .as_ref()
            .map(|cursor| format!("{{\"cursor\":{cursor}}}"));
        let message = own(request(
            &page.to_string(),
            method_of(kind),
            params.as_deref(),
        ));
        let Ok(response) = timeout_at(until, ask(lease, caller, message)).await else {
            break;
        };
        let response = response?;
        if response.kind() == Kind::Error {
            return refused(&response, kind, page);
        }
        let before = intake.as_ref().map_or(0, Intake::len);
        let next = read(response, intake).await.map_err(|wrong| {
            let text = format!("the answer to {} is not usable: {wrong}", method_of(kind));
            Error::new(ErrorKind::Protocol, text)
        })?;
        idle = if intake.as_ref().map_or(0, Intake::len) > before {
            0
        } else {
            idle + 1
        };
        let next = match next {
            Next::End => return Ok(ListState::Whole),
            Next::Cursor(next) => next,
            Next::Cut(why) => {
                cut(lease, kind, why);
                return Ok(ListState::Whole);
            }
        };
        if !seen.insert(std::hash::BuildHasher::hash_one(&hasher, &next)) {
            cut(lease, kind, "its pages go round in circles");
            return Ok(ListState::Whole);
        }
        if idle == MAX_IDLE_PAGES {
            cut(lease, kind, "its pages add nothing any more");
            return Ok(ListState::Whole);
        }
        cursor = Some(next);
    }
    cut(lease, kind, "its pages do not end");
    Ok(ListState::Whole)
}

fn cut(lease: &Lease, kind: ItemKind, why: &str) {
    let (server, list) = (lease.key.server(), method_of(kind));
    tracing::warn!(%server, list, "the list is cut: {why}");
}

/// Parses a page; a large one on a blocking thread, so that it does not delay other tasks.
async fn read(
    response: Message,
    intake: &mut Option<Intake>,
) -> std::result::Result<Next, &'static str> {
    let Some(mut taking) = intake.take() else {
        return Err("the page before it was not read");
    };
    let large = response
        .body()
        .is_some_and(|body| body.len() > MAX_INLINE_PAGE_BYTES);
    let work = move || {
        let next = taking.page(response.body().unwrap_or("null"));
        (taking, next)
    };
    let (taken, next) = if large {
        let read = tokio::task::spawn_blocking(work).await;
        read.map_err(|_| "reading it failed")?
    } else {
        work()
    };
    *intake = Some(taken);
    next
}

/// Interprets the refusal of a page: a server without the method has no such list.
fn refused(response: &Message, kind: ItemKind, page: usize) -> Result<ListState> {
    let error = response.body().and_then(Members::read).unwrap_or_default();
    if error
        .get("code")
        .is_some_and(|found| found == code::METHOD_NOT_FOUND.to_string())
    {
        return Ok(match page {
            0 => ListState::Lacking,
            _ => ListState::Whole,
        });
    }
    let text = format!(
        "{} was refused: {}",
        method_of(kind),
        error.get("message").unwrap_or("?")
    );
    Err(Error::new(ErrorKind::Protocol, text))
}

/// Sends a request that the engine itself makes.
pub(crate) async fn ask(lease: &Lease, caller: &Caller, message: Message) -> Result<Message> {
    ask_for(lease, caller, message, None).await
}

/// Like [`ask`], on behalf of a caller. The message is authorized right before it is written.
pub(crate) async fn ask_for(
    lease: &Lease,
    caller: &Caller,
    message: Message,
    check: Check<'_>,
) -> Result<Message> {
    let outgoing = Outgoing {
        check,
        ..Outgoing::ours(&message, caller.party)
    };
    let limit = lease.spec.server.limits.call_timeout;
    let answer = async {
        lease
            .link
            .request(&outgoing, caller, None)
            .await?
            .response()
            .await
    };
    timeout(limit, answer).await.map_err(|_| {
        let text = format!(
            "server {} did not respond to a list request",
            lease.key.server()
        );
        Error::new(ErrorKind::TimedOut, text).with_server(lease.key.server())
    })?
}

/// Returns the method that lists items of this kind.
pub(crate) fn method_of(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => method::TOOLS_LIST,
        ItemKind::Prompt => method::PROMPTS_LIST,
        ItemKind::Resource => method::RESOURCES_LIST,
        ItemKind::Template => method::RESOURCES_TEMPLATES_LIST,
    }
}
