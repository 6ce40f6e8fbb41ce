//! Routing of calls: the vocabulary and the `Router` trait.
//!
//! A router decides on a snapshot and never waits. Lists and calls use the same router, so they agree.

mod certain;
mod filter;
mod lists;
mod members;
mod names;
mod overrides;
mod scheme;
mod server_items;
mod shared_address;
mod table;
mod template;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::certain::Certain;
pub use self::filter::{Hint, Hints, ToolFilter};
pub use self::lists::{Conflict, ConflictCause, Lists};
pub use self::members::Members;
pub use self::names::{MAX_NAME_LEN, may_be_cut, shown, split};
pub use self::overrides::{FixedArguments, OverrideError, ToolOverride, ToolOverrides};
pub use self::server_items::Listed;
pub(crate) use self::shared_address::{is_skill, may_be_changed, shown_address};
pub use self::table::{GatewaySpec, TableRouter};
pub use self::template::Specificity;
pub(crate) use self::template::{TemplateError, check_template};
use crate::auth::Principal;
use crate::credential::CredentialRule;
use crate::id::{Alias, GatewayId, ServerId};
use crate::server::ServerSpec;

/// The item that a call addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A tool, by the name that the gateway shows.
    Tool(&'a str),
    /// A prompt, by the name that the gateway shows.
    Prompt(&'a str),
    /// A resource or a template, by its URI.
    Resource(&'a str),
    /// A server of the gateway, by its alias.
    Server(&'a str),
}

/// Kinds of items that have lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// Items of `tools/list`.
    Tool,
    /// Items of `prompts/list`.
    Prompt,
    /// Items of `resources/list`.
    Resource,
    /// Items of `resources/templates/list`.
    Template,
}

impl ItemKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template];
}

/// The target of a call.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The gateway that the call came through.
    pub gateway: &'a GatewayId,
    /// The item that the call addresses.
    pub item: Item<'a>,
    /// The known lists of the gateway's servers, for names that do not identify their server.
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

/// Returns `true` if a server lists the item to a principal under this rule.
pub type ListsBy<'a> = dyn Fn(&CredentialRule) -> bool + 'a;

/// What is known from the servers' lists, for names that do not identify their server.
///
/// A server may list different items to each owner of a credential, so every method takes the principal, and all but
/// `holders` take the gateway entry with the credential rule that applies: the list of one owner never decides for
/// another. [`Lists`] is the implementation that the engine uses. An implementation runs
/// [`crate::testing::router::known`].
pub trait Known {
    /// Calls `each` for every server that lists an item of this own name to any owner, with a function that returns
    /// whether it lists it to this principal under a rule. Costs one look-up, regardless of the number of servers and
    /// items.
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    );
    /// Returns `true` if the server lists an item of this own name.
    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool;
    /// Returns the server's own name for the name `shown`, which was truncated because it is too long with its prefix.
    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>>;
    /// Returns the hints of a server's tool, or [`Hints::default`] if it is not listed.
    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints;
    /// Returns why a resource may belong to this server, or `None`.
    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim>;
}

/// Why a resource may belong to a server, best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// The server lists it.
    Listed,
    /// A definition of one of its tools names it (`_meta.ui.resourceUri`).
    Defined,
    /// A result of the server carried the URI to this principal. The server that carried it first has the smallest
    /// number.
    Carried(usize),
    /// A template of the server matches; a more specific template is better.
    Template(Specificity),
    /// The lists, templates or tool definitions of the server use its scheme, which is not `http`, `https` or `file`.
    /// Decides only if no other server of the gateway uses it.
    Scheme,
    /// The server has resources. Decides only if no other server of the gateway has any.
    HasResources,
}

impl Claim {
    /// Returns `true` if the claim decides only if no other server has an equal one.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Scheme | Self::HasResources)
    }
}

/// Returns whether a URI matches a URI template, or `None` if the template exceeds a limit.
#[cfg(feature = "test-util")]
pub(crate) fn uri_matches(template: &str, uri: &str) -> Option<bool> {
    let template = template::Template::new(template)?;
    Some(template.matches(uri, &mut template::Steps::new()))
}

/// The destination of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The server to call.
    pub server: ServerId,
    /// The server's alias in the gateway.
    pub alias: Alias,
    /// The item's own name on the server.
    pub name: Cow<'a, str>,
    /// The rule that selects the credential for the call.
    pub credential: CredentialRule,
    /// What the gateway changes of the tool. Its fixed arguments are set on the call.
    pub change: Option<Arc<ToolOverride>>,
}

/// Why there is no route. Not found and forbidden read the same to the caller; only `explain` distinguishes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The gateway does not exist, or is not visible to this principal.
    #[error("unknown gateway {0}")]
    Gateway(GatewayId),
    /// The item does not exist, or is not visible to this principal.
    #[error("unknown {kind} {name:?}")]
    Item {
        /// `tool`, `prompt`, `resource` or `server`.
        kind: &'static str,
        /// The name that was requested.
        name: String,
        /// What was examined; for `explain` only.
        why: String,
    },
}

impl NoRoute {
    /// Returns the error for a target that this principal cannot reach. `why` is for `explain` only.
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
    /// Bare if the gateway has one server, otherwise prefixed.
    #[default]
    Auto,
    /// The server's own names.
    Bare,
    /// Names of the form `server__tool`.
    Prefixed,
}

/// What a principal sees of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The servers, in the order of the configuration.
    pub entries: Vec<ViewEntry>,
    /// `true` if names are prefixed with the server's alias.
    pub prefixed: bool,
}

/// One server of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEntry {
    /// Its alias in the gateway, used as the prefix.
    pub alias: Alias,
    /// The server.
    pub server: ServerId,
    /// The rule that selects the credential to list and call its items with.
    pub credential: CredentialRule,
    /// The filter for its tools, by their own names.
    pub tools: ToolFilter,
    /// What the gateway changes of its tools, by their own names.
    pub overrides: ToolOverrides,
}

impl ViewEntry {
    /// Returns `true` if the gateway shows an item of this own name. Only tools are filtered. Calls `hints` only if
    /// they decide.
    pub fn shows(&self, kind: ItemKind, name: &str, hints: impl FnOnce() -> Hints) -> bool {
        kind != ItemKind::Tool
            || (self.tools.shows(name, hints) && self.overrides.shown(name).is_some())
    }

    /// Returns the name under which the gateway shows an item of this own name, if it [shows](Self::shows) it. Returns
    /// `None` if a renamed tool of the server has taken the name.
    pub fn shown_as<'a>(
        &'a self,
        kind: ItemKind,
        own: &'a str,
        prefixed: bool,
    ) -> Option<Cow<'a, str>> {
        match kind {
            ItemKind::Tool => Some(shown(&self.alias, self.overrides.shown(own)?, prefixed)),
            ItemKind::Prompt => Some(shown(&self.alias, own, prefixed)),
            ItemKind::Resource | ItemKind::Template => Some(Cow::Borrowed(own)),
        }
    }

    /// Returns `true` if the gateway shows all tools of the server, unchanged.
    pub fn is_whole(&self) -> bool {
        self.tools == ToolFilter::All && self.overrides.is_empty()
    }

    /// Shows a server under its own name with all its tools. If it needs a credential, the caller's is used.
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
            overrides: ToolOverrides::default(),
        }
    }
}

/// Decides where calls go and what each principal sees. Methods must not block; they decide on a snapshot.
///
/// # Contract
/// `route` returns a server only if `view` for the same principal and gateway shows it, and `gateways` names every
/// gateway that has a view. A tool is found by the name that the view's [overrides](ViewEntry::overrides) give it, never
/// by the own name of a renamed tool, and its override is returned. Every implementation must pass the suite in
/// [`crate::testing::router`].
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// Returns the route of this principal's call.
    ///
    /// # Errors
    /// [`NoRoute`], which reads the same for forbidden and not found.
    fn route<'a>(&self, principal: &Principal, target: &Target<'a>) -> Result<Route<'a>, NoRoute>;

    /// Returns what the principal sees of a gateway.
    ///
    /// # Errors
    /// [`NoRoute::Gateway`] if the gateway does not exist or the principal may not use it.
    fn view(&self, principal: &Principal, gateway: &GatewayId) -> Result<Arc<View>, NoRoute>;

    /// Returns the names of all gateways, sorted. It grants nothing: `view` decides which of them exist for a principal.
    fn gateways(&self) -> Vec<GatewayId>;
}
