//! Configuration files: from text to [`Settings`], with all problems reported at once.
//!
//! [`load`] reads the product's own format (YAML or JSON) and the `mcpServers` files of other programs, expands
//! variables, merges, validates, and returns [`Settings`] or [`Problems`]. It starts nothing. The project's
//! docs/configuration.md describes the format; [`schema`] is its JSON Schema.
//!
//! A file is parsed to a tree that knows the position of each key (`tree`), then to serde types (`typed`, `file`), then
//! to types of the library (`server`, `credentials`, `gateways`, `globals`). A value from a variable, and any value of
//! `env` and `headers` in a foreign file, is [`Text::Secret`](crate::value::Text::Secret) from there on.

mod audit;
mod auth;
#[cfg(feature = "jwt")]
mod authenticators;
mod backends;
mod build;
mod check;
mod cluster;
mod conflicts;
mod credentials;
mod edit;
mod effective;
mod env_file;
mod expand;
mod file;
mod file_auth;
mod file_credentials;
mod file_kubernetes;
mod file_oauth;
mod file_people;
mod file_pod;
mod file_server;
mod foreign;
mod gateways;
mod globals;
mod import;
mod issuers;
mod jsonc;
mod load;
mod merge;
mod network;
mod oauth;
mod outbound;
mod parse;
mod patience;
mod people;
mod pod;
mod problem;
mod program;
mod quantity;
mod remains;
mod schema;
mod scope;
mod secrets;
mod server;
mod settings;
mod sign_ins;
mod standing;
mod state_dir;
mod stores;
mod suggest;
mod tree;
mod typed;
mod units;
mod write;

pub use self::audit::{AuditEntry, AuditSettings};
pub use self::auth::{AuthSettings, FirstAdmin, IssuerSettings, SignInClient, TlsSettings};
pub use self::backends::BackendOptions;
pub use self::build::Built;
pub use self::cluster::ClusterReview;
pub use self::conflicts::GatewayConflict;
pub use self::effective::{Effective, NamedVariable, Origin, effective};
pub use self::expand::{Variables, input_variable};
pub use self::file::{
    File, GatewayEntry, GatewayServerEntry, HintEntry, LogEntry, LogFormat, Named, PinnedEntry,
    TextOr, ToolNamesEntry, ToolsEntry, Typed,
};
pub use self::file_auth::{
    AlgorithmEntry, AuthEntry, ClaimsEntry, IssuerEntry, LimitsEntry, TlsEntry,
};
pub use self::file_credentials::{CredentialsEntry, StoreEntry, StoreKeyEntry};
pub use self::file_kubernetes::{BackendEntry, KubernetesEntry, PodDefaultsEntry};
pub use self::file_oauth::{
    ClientCertificateEntry, GrantEntry, NetworkEntry, OAuthChoice, OAuthEntry,
};
pub use self::file_people::{MembersEntry, TeamEntry};
pub use self::file_pod::{
    EnvFromEntry, PodEntry, ProbesEntry, PullPolicyEntry, RegistryEntry, ResourcesEntry,
    SecurityEntry, VolumeEntryTyped,
};
pub use self::file_server::{
    CredentialEntry, DeclaredToolEntry, EraEntry, FileEntry, HeaderEntry, IsolationEntry,
    SecretPlaceEntry, ServerEntry, StartEntry, TransportEntry,
};
#[cfg(feature = "fetch")]
pub use self::import::import_url;
pub use self::import::{
    ImportOptions, ImportValues, Imported, ImportedVariable, Risk, import_file, import_text,
};
pub use self::load::{
    LoadOptions, Loaded, is_empty_text, load, load_texts, read as read_text, state_dir_of,
};
pub use self::outbound::{ClientCertificateSettings, OutboundSettings, ProxySettings};
pub use self::patience::Patience;
pub use self::problem::{Notice, Position, Problem, Problems};
pub use self::remains::ClusterRemains;
pub use self::schema::schema;
pub use self::settings::{
    BackendKind, BackendSettings, ConfiguredCredential, CredentialSource, GatewaySettings,
    KubernetesSettings, LogSettings, Settings,
};
pub use self::stores::{StoreKey, StoreSettings};
pub use self::units::{Size, Span, SpanOrNever};
pub use self::write::{
    IfPresent, Written, add_servers, add_to_text, entry_text, remove_from_text, remove_server,
};

#[cfg(test)]
mod tests;
