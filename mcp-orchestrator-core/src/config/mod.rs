//! Configuration files: from text to [`Settings`], with all problems reported at once.
//!
//! [`load`] reads the product's own format (YAML or JSON) and the `mcpServers` files of other programs, expands
//! variables, merges, validates, and returns [`Settings`] or [`Problems`]. It starts nothing. The project's
//! docs/configuration.md describes the format; [`schema`] is its JSON Schema.
//!
//! A file is parsed to a tree that knows the position of each key (`source`), then to serde types (`schema`), then to
//! types of the library (`resolve`, `settings`). A value from a variable, and any value of `env` and `headers` in a
//! foreign file, is [`Text::Secret`](crate::value::Text::Secret) from there on. The module [`app`](crate::app) builds an
//! orchestrator from the settings.

mod edit;
mod effective;
mod foreign;
mod import;
mod load;
mod merge;
mod options;
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
pub use self::load::{is_empty_text, load, load_texts, state_dir_of};
pub use self::merge::Loaded;
pub use self::options::{BackendOptions, LoadOptions};
pub use self::schema::auth::{AlgorithmEntry, AuthEntry, ClaimsEntry, IssuerEntry};
pub use self::schema::credentials::{CredentialsEntry, StoreEntry, StoreKeyEntry};
pub use self::schema::file::File;
pub use self::schema::gateway::{
    GatewayEntry, GatewayServerEntry, HintEntry, PinnedEntry, ToolChangeEntry, ToolNamesEntry,
    ToolsEntry,
};
pub use self::schema::kubernetes::{BackendEntry, KubernetesEntry, PodDefaultsEntry};
pub use self::schema::listener::{LimitsEntry, TlsEntry};
pub use self::schema::log::{AuditEntry, LogEntry, LogFormatEntry};
pub use self::schema::network::{ClientCertificateEntry, NetworkEntry};
pub use self::schema::oauth::{GrantEntry, OAuthChoice, OAuthEntry};
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
pub use self::schema::value::{Json, Named, TextOr, Typed};
pub use self::settings::Settings;
pub use self::settings::audit::AuditSettings;
pub use self::settings::auth::{
    AuthSettings, FirstAdmin, IssuerSettings, SignInClient, TlsSettings,
};
pub use self::settings::backends::{BackendKind, BackendSettings, KubernetesSettings};
pub use self::settings::credentials::{ConfiguredCredential, CredentialSource};
pub use self::settings::gateway::GatewaySettings;
pub use self::settings::log::{LogFormat, LogSettings};
pub use self::settings::outbound::{ClientCertificateSettings, OutboundSettings, ProxySettings};
pub use self::settings::store::{StoreKey, StoreSettings};
pub use self::source::diagnostics::{Notice, Position, Problem, Problems};
pub use self::source::interpolate::{Variables, input_variable};
pub use self::source::read::read as read_text;

#[cfg(test)]
mod tests;
