//! Configuration files: from text to [`Settings`], with all problems reported at once.
//!
//! [`load`] reads the product's own format (YAML or JSON) and the `mcpServers` files of other programs, expands
//! variables, merges, validates, and returns [`Settings`] or [`Problems`]. It starts nothing. The project's
//! docs/configuration.md describes the format; [`schema`] is its JSON Schema.
//!
//! A file is parsed to a tree that knows the position of each key (`tree`), then to serde types (`typed`, `file`), then
//! to types of the library (`server`, `credentials`, `gateways`, `globals`). A value from a variable, and any value of
//! `env` and `headers` in a foreign file, is [`Text::Secret`](crate::value::Text::Secret) from there on.

mod edit;
mod effective;
mod foreign;
mod import;
mod load;
mod merge;
mod resolve;
mod schema;
mod settings;
mod source;

pub use self::edit::{
    IfPresent, Written, add_servers, add_to_text, entry_text, remove_from_text, remove_server,
};
pub use self::effective::{Effective, NamedVariable, Origin, effective};
#[cfg(feature = "fetch")]
pub use self::import::import_url;
pub use self::import::{
    ImportOptions, ImportValues, Imported, ImportedVariable, Risk, import_file, import_text,
};
pub use self::load::{
    LoadOptions, Loaded, is_empty_text, load, load_texts, read as read_text, state_dir_of,
};
pub use self::resolve::backends::BackendOptions;
pub use self::schema::audit::AuditEntry;
pub use self::schema::auth::{
    AlgorithmEntry, AuthEntry, ClaimsEntry, IssuerEntry, LimitsEntry, TlsEntry,
};
pub use self::schema::credentials::{CredentialsEntry, StoreEntry, StoreKeyEntry};
pub use self::schema::file::{
    File, GatewayEntry, GatewayServerEntry, HintEntry, LogEntry, LogFormat, Named, PinnedEntry,
    TextOr, ToolNamesEntry, ToolsEntry, Typed,
};
pub use self::schema::kubernetes::{BackendEntry, KubernetesEntry, PodDefaultsEntry};
pub use self::schema::oauth::{
    ClientCertificateEntry, GrantEntry, NetworkEntry, OAuthChoice, OAuthEntry,
};
pub use self::schema::people::{MembersEntry, TeamEntry};
pub use self::schema::pod::{
    EnvFromEntry, PodEntry, ProbesEntry, PullPolicyEntry, RegistryEntry, ResourcesEntry,
    SecurityEntry, VolumeEntryTyped,
};
pub use self::schema::schema;
pub use self::schema::server::{
    CredentialEntry, DeclaredToolEntry, EraEntry, FileEntry, HeaderEntry, IsolationEntry,
    SecretPlaceEntry, ServerEntry, StartEntry, TransportEntry,
};
pub use self::schema::units::{Size, Span, SpanOrNever};
pub use self::settings::audit::AuditSettings;
pub use self::settings::auth::{
    AuthSettings, FirstAdmin, IssuerSettings, SignInClient, TlsSettings,
};
pub use self::settings::outbound::{ClientCertificateSettings, OutboundSettings, ProxySettings};
pub use self::settings::store::{StoreKey, StoreSettings};
pub use self::settings::{
    BackendKind, BackendSettings, ConfiguredCredential, CredentialSource, GatewaySettings,
    KubernetesSettings, LogSettings, Settings,
};
pub use self::source::diagnostics::{Notice, Position, Problem, Problems};
pub use self::source::interpolate::{Variables, input_variable};

#[cfg(test)]
mod tests;
