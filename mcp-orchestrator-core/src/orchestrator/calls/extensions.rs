//! Methods that the protocol does not define: which server gets them, and which extensions are announced.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::call::Reply;
use crate::catalog::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Alias;
use crate::jsonrpc::{Members, Message, Splice, quote, span_of, text};
use crate::orchestrator::authority::AllowedBy;
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::params::params;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::protocol::meta;
use crate::router::{Item, View, split};

/// Extensions with methods that are routed even if several servers declare them.
const ROUTED: [&str; 3] = [
    meta::TASKS_EXTENSION,
    meta::SKILLS_EXTENSION,
    meta::UI_EXTENSION,
];
/// Capabilities that the protocol defines.
const STANDARD: [&str; 6] = [
    "tools",
    "prompts",
    "resources",
    "completions",
    "logging",
    "tasks",
];
/// Capabilities with a member for each extension.
const NESTED: [&str; 2] = ["extensions", "experimental"];

/// An extension that a gateway does not announce, because nothing decides which server its requests are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UnannouncedExtension {
    /// The name of the extension, or of the capability.
    pub name: String,
    /// The servers that declare it, by their names in the gateway.
    pub servers: Vec<Alias>,
}

impl fmt::Display for UnannouncedExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, servers } = self;
        write!(f, "extension {name:?} is not announced: ")?;
        match &servers[..] {
            [only] => write!(
                f,
                "the gateway hides tools of {only}, the server that declares it"
            ),
            [first @ .., last] => {
                let first: Vec<&str> = first.iter().map(Alias::as_str).collect();
                let first = first.join(", ");
                write!(
                    f,
                    "{first} and {last} declare it; its requests reach a server only by a URI or a prefixed name"
                )
            }
            [] => f.write_str("no server declares it"),
        }
    }
}

/// Returns the capabilities that a server declares.
fn declared(source: &Source) -> Map<String, Value> {
    let hello = source.kept.hello();
    let capabilities = hello.get("capabilities");
    capabilities
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns the extensions of these servers that are not announced.
pub(crate) fn unannounced(known: &[&Source]) -> Vec<UnannouncedExtension> {
    let mut all = Map::new();
    for source in known {
        merge(&mut all, declared(source));
    }
    keep_routed(&mut all, known)
}

/// Removes extensions from merged capabilities if their methods are not routed: several servers declare the extension,
/// or the only one that does has hidden tools. Returns what was removed.
pub(super) fn keep_routed(
    capabilities: &mut Map<String, Value>,
    known: &[&Source],
) -> Vec<UnannouncedExtension> {
    let theirs: Vec<(&Source, Map<String, Value>)> = known
        .iter()
        .map(|source| (*source, declared(source)))
        .collect();
    let mut removed = Vec::new();
    let mut is_routed = |name: &str, has: &dyn Fn(&Map<String, Value>) -> bool| {
        let declaring = theirs.iter().filter(|(_, theirs)| has(theirs));
        let declaring: Vec<&Source> = declaring.map(|(source, _)| *source).collect();
        if let [only] = &declaring[..]
            && only.is_whole()
        {
            return true;
        }
        removed.push(UnannouncedExtension {
            name: name.to_owned(),
            servers: declaring.iter().map(|one| one.alias.clone()).collect(),
        });
        false
    };
    capabilities.retain(|name, _| {
        STANDARD.contains(&&**name)
            || NESTED.contains(&&**name)
            || is_routed(name, &|theirs| theirs.contains_key(name))
    });
    for group in NESTED {
        let Some(Value::Object(members)) = capabilities.get_mut(group) else {
            continue;
        };
        members.retain(|name, _| {
            let declares = |theirs: &Map<String, Value>| {
                theirs.get(group).is_some_and(|all| all.get(name).is_some())
            };
            ROUTED.contains(&&**name) || is_routed(name, &declares)
        });
    }
    removed
}

/// Merges `from` into `into`: objects are merged recursively, and `true` takes precedence.
pub(super) fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (Some(known), Value::Bool(true)) => *known = Value::Bool(true),
            (Some(_), _) => {}
            (None, value) => drop(into.insert(name, value)),
        }
    }
}

/// What the capabilities of a server say about a method that the protocol does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declares {
    /// A capability or extension of the method's name.
    It,
    /// Another extension.
    Other,
    Nothing,
}

impl Declares {
    fn of(source: &Source, method: &str) -> Self {
        let hello = source.kept.hello();
        let capabilities = hello.get("capabilities").and_then(Members::read);
        let capabilities = capabilities.unwrap_or_default();
        let begin = method.split('/').next().unwrap_or_default();
        let names_it = |name: &str| {
            let last = name.rsplit('/').next().unwrap_or_default();
            last == begin
                || method
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let mut found = Self::Nothing;
        for (name, value) in &capabilities.0 {
            let nested = NESTED
                .contains(&&**name)
                .then(|| Members::read(value.get()));
            let nested = nested.flatten().unwrap_or_default();
            let inner = nested.0.iter().map(|(name, _)| &**name);
            for extension in inner.chain((!NESTED.contains(&&**name)).then_some(&**name)) {
                if names_it(extension) {
                    return Self::It;
                }
                if !ROUTED.contains(&extension) && !STANDARD.contains(&extension) {
                    found = Self::Other;
                }
            }
        }
        found
    }
}

impl Inner {
    /// Forwards a method that the protocol does not define to the server that it concerns, if the gateway exposes all
    /// of that server: the effect of such a method on hidden tools is unknown.
    pub(super) async fn unknown(
        self: &Arc<Self>,
        context: &Context,
        name: &str,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        let refused = || {
            let text = format!("unknown method {name:?}");
            Error::new(ErrorKind::MethodNotFound, text)
        };
        if !is_of_nobody(name) {
            return Err(refused());
        }
        let view = self.view(context)?;
        let (at, edits) = match view.entries.len() {
            1 => (0, Splice::new()),
            _ => {
                let concerned = self.concerned(context, &view, name, message).await?;
                concerned.ok_or_else(refused)?
            }
        };
        let entry = &view.entries[at];
        if !entry.is_whole() {
            return Err(refused());
        }
        let work = ForwardedRequest {
            edits,
            headers: std::borrow::Cow::Borrowed(headers),
            judged: AllowedBy::Whole,
            ..ForwardedRequest::plain(message)
        };
        let sent = self.forward(context, &entry.server, &entry.credential, &work);
        Ok(sent.await?.0)
    }

    /// Returns which server of several a method concerns, with the changes to its parameters: among the servers that
    /// declare a capability for it, the one that its parameters name, or the only one.
    async fn concerned(
        self: &Arc<Self>,
        context: &Context,
        view: &View,
        method: &str,
        message: &Message,
    ) -> Result<Option<(usize, Splice)>> {
        self.meet(context, view).await;
        let known = self.known(context, view).await;
        let said = known.iter().map(|source| match source {
            Some(source) => Declares::of(source, method),
            None => Declares::Nothing,
        });
        let said: Vec<Declares> = said.collect();
        let with = |what| {
            let places = said
                .iter()
                .enumerate()
                .filter(move |(_, one)| **one == what);
            places.map(|(at, _)| at).collect::<Vec<usize>>()
        };
        let (declaring, others) = (with(Declares::It), with(Declares::Other));
        let named = self.named_in(context, view, message).await?;
        let plain = |at: usize| Some((at, Splice::new()));
        Ok(match (named, &declaring[..], &others[..]) {
            (Some(named), [], _) => Some(named),
            (Some(named), some, _) if some.contains(&named.0) => Some(named),
            (_, [only], _) | (None, [], [only]) => plain(*only),
            _ => None,
        })
    }

    /// Returns the server that the parameters name by a URI or a prefixed name, and the changes to the server's own
    /// name.
    async fn named_in(
        self: &Arc<Self>,
        context: &Context,
        view: &View,
        message: &Message,
    ) -> Result<Option<(usize, Splice)>> {
        let place = |alias: &str| {
            view.entries
                .iter()
                .position(|entry| entry.alias.as_str() == alias)
        };
        let mut edits = Splice::new();
        if let Some(raw) = params(message)?.uri
            && let Some(uri) = text(raw.get())
        {
            let uri = uri.into_owned();
            let Ok(route) = self.routed(context, Item::Resource(&uri)).await else {
                return Ok(None);
            };
            if route.name != uri {
                edits.replace(span_of(message.bytes(), raw.get()), quote(&route.name));
            }
            return Ok(place(route.alias.as_str()).map(|at| (at, edits)));
        }
        let Some(raw) = message.name().filter(|_| view.prefixed) else {
            return Ok(None);
        };
        let name = text(raw).unwrap_or_default();
        let Some((alias, own)) = split(&name) else {
            return Ok(None);
        };
        edits.replace(span_of(message.bytes(), raw), quote(own));
        Ok(place(alias).map(|at| (at, edits)))
    }
}

/// Returns `true` if the protocol does not define this method. Methods of only one era must not reach a server through
/// the other; neither must requests that only servers send, or notifications.
fn is_of_nobody(name: &str) -> bool {
    use crate::protocol::method as m;
    let legacy = [
        m::INITIALIZE,
        m::PING,
        m::SET_LEVEL,
        m::RESOURCES_SUBSCRIBE,
        m::RESOURCES_UNSUBSCRIBE,
    ];
    let modern = [m::DISCOVER, m::LISTEN];
    let tasks = [m::TASKS_LIST, m::TASKS_RESULT, m::TASKS_UPDATE];
    let of_servers = [m::SAMPLING, m::ELICITATION, m::ROOTS_LIST];
    let known = [&legacy[..], &modern, &tasks, &of_servers].concat();
    !known.contains(&name) && !name.starts_with(m::NOTIFICATIONS)
}
