//! Where a call goes: the nouns and the router's seam.
//!
//! A router decides over a snapshot and never waits. Lists and calls ask the same router, so they agree.

mod filter;
mod listed;
mod lists;
mod members;
mod names;
mod table;
mod template;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use self::filter::{Hint, Hints, ToolFilter};
pub use self::listed::Listed;
pub use self::lists::{Conflict, Lists};
pub use self::members::Members;
pub use self::names::{LONGEST, may_be_cut, shown, split};
pub use self::table::{GatewaySpec, TableRouter};
pub use self::template::Specificity;
pub(crate) use self::template::{TemplateError, check_template};
use crate::auth::Principal;
use crate::credential::CredentialRule;
use crate::id::{Alias, GatewayId, ServerId};
use crate::server::ServerSpec;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A tool, by the name that the gateway shows.
    Tool(&'a str),
    /// A prompt, by the name that the gateway shows.
    Prompt(&'a str),
    /// A resource or a template, by its URI.
    Resource(&'a str),
    /// A server of the gateway, by the name it has there.
    Server(&'a str),
}

/// Kinds of items that have lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// tools/list
    Tool,
    /// prompts/list
    Prompt,
    /// resources/list
    Resource,
    /// resources/templates/list
    Template,
}

impl ItemKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template];
}

/// What a call asks of the router.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Through which gateway.
    pub gateway: &'a GatewayId,
    /// For what.
    pub item: Item<'a>,
    /// What the lists of the gateway's servers tell, for names that do not tell their server.
    pub known: &'a dyn Known,
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("gateway", self.gateway)
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}

/// Whether a server lists something to a principal who is called by this rule.
pub type ListsBy<'a> = dyn Fn(&CredentialRule) -> bool + 'a;

/// What is known of servers from their lists, for names that do not tell their server.
///
/// A server may list other items to each owner of a credential, so every question names the principal and the entry of
/// the gateway by whose rule it is called: nobody's list decides for somebody else. [`Lists`] is the implementation
/// that the engine uses.
pub trait Known {
    /// Tells each server that lists an item of this own name to anybody, with the answer to whether it does so to this
    /// principal by a rule. One look-up, however many servers and items there are.
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    );
    /// Whether the server lists an item of this own name.
    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool;
    /// The server's own name that is shown as `shown`, which was cut because with its prefix it is too long.
    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>>;
    /// What the server says of a tool of its own; [`Hints::default`] where it is not listed.
    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints;
    /// Why a resource may be this server's.
    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim>;
}

/// Why a resource may be a server's, the best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// It lists it.
    Listed,
    /// A result of it carried the URI to this principal; the server that did so first has the smallest number.
    Carried(usize),
    /// One of its templates matches; the more the template says, the better.
    Template(Specificity),
}

/// Whether a URI may come from a URI template; `None` where the template is over a limit.
#[cfg(feature = "test-util")]
pub(crate) fn uri_matches(template: &str, uri: &str) -> Option<bool> {
    let template = template::Template::new(template)?;
    Some(template.matches(uri, &mut template::Steps::new()))
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// Which server.
    pub server: ServerId,
    /// The server's name in the gateway.
    pub alias: Alias,
    /// The item's own name there.
    pub name: Cow<'a, str>,
    /// With whose credential.
    pub credential: CredentialRule,
}

/// Why there is no route. What is forbidden and what does not exist read alike to the caller; `explain` tells them
/// apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No such gateway, or not for this principal.
    #[error("unknown gateway {0}")]
    Gateway(GatewayId),
    /// No such item, or not for this principal.
    #[error("unknown {kind} {name:?}")]
    Item {
        /// `tool`, `prompt`, `resource` or `server`.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// For `explain` alone: what was looked at.
        why: String,
    },
}

impl NoRoute {
    /// That of a target which this principal cannot reach; `why` is for `explain` alone.
    pub fn to(target: &Target<'_>, why: impl Into<String>) -> Self {
        let (kind, name) = match target.item {
            Item::Tool(name) => ("tool", name),
            Item::Prompt(name) => ("prompt", name),
            Item::Resource(uri) => ("resource", uri),
            Item::Server(alias) => ("server", alias),
        };
        Self::Item {
            kind,
            name: name.to_owned(),
            why: why.into(),
        }
    }
}

/// How a gateway names the tools and prompts of its servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolNames {
    /// Bare where the gateway has one server, else prefixed.
    #[default]
    Auto,
    /// As the server names them.
    Bare,
    /// `server__tool`.
    Prefixed,
}

/// What a principal may see of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The servers, in the order of the configuration.
    pub entries: Vec<ViewEntry>,
    /// Whether names carry their server.
    pub prefixed: bool,
}

/// One server of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEntry {
    /// Its name in the gateway: the prefix.
    pub alias: Alias,
    /// Which server it is.
    pub server: ServerId,
    /// With whose credential its items are listed and called.
    pub credential: CredentialRule,
    /// Which of its tools are shown.
    pub tools: ToolFilter,
}

impl ViewEntry {
    /// Whether the gateway shows an item of this own name: tools may be chosen, all else is shown. What the server says of
    /// a tool is asked only where that decides.
    pub fn shows(&self, kind: ItemKind, name: &str, hints: impl FnOnce() -> Hints) -> bool {
        kind != ItemKind::Tool || self.tools.shows(name, hints)
    }

    /// A server under its own name with all its tools; where it needs a credential, with the caller's.
    pub fn of(server: &ServerSpec) -> Self {
        Self {
            alias: Alias::from(&server.id),
            server: server.id.clone(),
            credential: if server.slots.is_empty() {
                CredentialRule::None
            } else {
                CredentialRule::Resolve
            },
            tools: ToolFilter::All,
        }
    }
}

/// Decides where calls go and who sees what. Every method answers at once, from a snapshot.
///
/// # Contract
/// `route` answers a server only if `view` for the same principal and gateway shows it. An implementation runs
/// [`crate::testing::router`]'s suite.
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// Where this principal's call goes.
    ///
    /// # Errors
    /// [`NoRoute`], which reads the same for what is forbidden and what does not exist.
    fn route<'a>(&self, principal: &Principal, target: &Target<'a>) -> Result<Route<'a>, NoRoute>;

    /// What the principal may see there.
    ///
    /// # Errors
    /// [`NoRoute::Gateway`].
    fn view(&self, principal: &Principal, gateway: &GatewayId) -> Result<Arc<View>, NoRoute>;
}
