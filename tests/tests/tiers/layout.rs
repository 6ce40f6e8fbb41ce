//! The tier of each module. A new module needs a row here and a line in ARCHITECTURE.md.

/// The relation of a module to others of its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All modules of the tier may import it.
    Common,
    /// One implementation of a trait, or an independent module: siblings must not import it.
    Own(&'static str),
}

/// A module path below the crate, its tier, and its kind. The longest matching row applies.
pub(crate) type Row = (&'static str, u8, Kind);

use Kind::{Common, Own};

const ROWS: &[Row] = &[
    // 0: vocabulary
    ("backoff", 0, Common),
    ("challenge", 0, Common),
    ("collections", 0, Common),
    ("connect", 0, Common),
    ("error", 0, Common),
    ("files", 0, Common),
    ("header_value", 0, Common),
    ("id", 0, Common),
    ("jsonrpc", 0, Common),
    ("limits", 0, Common),
    ("mask", 0, Common),
    ("net", 0, Common),
    ("principal", 0, Common),
    ("protocol", 0, Common),
    ("seal", 0, Common),
    ("secret_json", 0, Common),
    ("time", 0, Common),
    ("trace_context", 0, Common),
    ("value", 0, Common),
    // 1: types and traits
    ("audit", 1, Common),
    ("auth", 1, Common),
    ("call", 1, Common),
    ("credential", 1, Common),
    ("router", 1, Common),
    ("runtime", 1, Common),
    ("server", 1, Common),
    ("state", 1, Common),
    // 2: implementations, and their shared code
    ("auth::chain", 2, Own("auth::chain")),
    ("auth::jwt", 2, Own("auth::jwt")),
    ("auth::local", 2, Own("auth::local")),
    ("auth::tokens", 2, Own("auth::tokens")),
    ("credential::cached", 2, Own("credential::cached")),
    ("credential::changes", 2, Common),
    ("credential::chain", 2, Own("credential::chain")),
    ("credential::configured", 2, Own("credential::configured")),
    ("credential::sources", 2, Common),
    ("credential::installed", 2, Own("credential::installed")),
    ("credential::kubernetes", 2, Own("credential::kubernetes")),
    ("credential::local", 2, Own("credential::local")),
    ("credential::memory", 2, Own("credential::memory")),
    ("credential::oauth", 2, Own("credential::oauth")),
    ("fetch", 2, Common),
    ("kubernetes", 2, Common),
    ("oauth", 2, Common),
    ("outbound", 2, Common),
    ("router::table", 2, Own("router::table")),
    ("runtime::exclusive", 2, Common),
    ("runtime::status_broadcast", 2, Common),
    ("runtime::redaction", 2, Common),
    ("runtime::stdin", 2, Common),
    ("runtime::logbook", 2, Common),
    ("runtime::status_broadcast", 2, Common),
    ("runtime::backend_set", 2, Own("runtime::backend_set")),
    ("runtime::kubernetes", 2, Own("runtime::kubernetes")),
    ("runtime::memory", 2, Own("runtime::memory")),
    ("runtime::process", 2, Own("runtime::process")),
    ("runtime::remote", 2, Own("runtime::remote")),
    ("state::config_maps", 2, Own("state::config_maps")),
    ("state::dir", 2, Own("state::files")),
    ("state::files", 2, Own("state::files")),
    ("state::lock", 2, Common),
    ("state::private", 2, Common),
    ("state::purge", 2, Own("state::files")),
    ("state::memory", 2, Own("state::memory")),
    ("tls", 2, Common),
    ("transport", 2, Own("transport")),
    // 3: the engine
    ("catalog", 3, Common),
    ("metrics", 3, Common),
    ("orchestrator", 3, Common),
    ("pool", 3, Common),
    ("session", 3, Common),
    // 4 to 6: the composition of everything
    ("app", 6, Own("app")),
    ("config", 5, Own("config")),
    ("installer", 4, Common),
    ("testing", 5, Own("testing")),
    ("testing::fuzz", 6, Own("testing::fuzz")),
];

/// Returns the row of a module.
pub(crate) fn row(module: &[String]) -> Option<Row> {
    (1..=module.len()).rev().find_map(|length| {
        let path = module[..length].join("::");
        ROWS.iter().find(|(name, ..)| *name == path).copied()
    })
}

/// Implementations that the engine may import. It knows all others by their traits only.
pub(crate) const ENGINE_MAY_NAME: &[&str] = &["transport"];

/// Exceptions: the importing file, the imported module, and the reason.
pub(crate) const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "orchestrator/builder.rs",
    "state::memory",
    "what a builder keeps lists in where nothing is said",
)];

/// Dependencies that are confined to modules, given by path prefixes.
pub(crate) const HEAVY: &[(&str, &str)] = &[
    ("axum::", "mcp-orchestrator-gateway/"),
    ("maud::", "mcp-orchestrator-gateway/src/pages"),
    (
        "opentelemetry::",
        "mcp-orchestrator-gateway/src/program/telemetry/otel",
    ),
    (
        "clap::",
        "mcp-orchestrator-gateway/src/|mcp-orchestrator-cli/",
    ),
    (
        "kube::",
        "mcp-orchestrator-core/src/kubernetes|mcp-orchestrator-core/src/runtime/kubernetes|mcp-orchestrator-core/src/state/config_maps.rs|mcp-orchestrator-core/src/credential/kubernetes",
    ),
    (
        "k8s_openapi::",
        "mcp-orchestrator-core/src/kubernetes|mcp-orchestrator-core/src/runtime/kubernetes|mcp-orchestrator-core/src/state/config_maps.rs|mcp-orchestrator-core/src/credential/kubernetes",
    ),
    ("redb::", "mcp-orchestrator-core/src/credential/local"),
    (
        "rustix::",
        "mcp-orchestrator-core/src/files|mcp-orchestrator-core/src/runtime/process|mcp-orchestrator-gateway/src/program/hardening.rs|mcp-orchestrator-cli/src/output.rs",
    ),
    (
        "rustls::",
        "mcp-orchestrator-core/src/tls.rs|mcp-orchestrator-core/src/outbound|mcp-orchestrator-core/src/runtime/remote/tests.rs|mcp-orchestrator-core/src/kubernetes|mcp-orchestrator-gateway/src/tls",
    ),
    (
        "ring::signature",
        "mcp-orchestrator-core/src/auth/jwt|mcp-orchestrator-core/src/testing/issuer",
    ),
    ("schemars::", "mcp-orchestrator-core/src/config/"),
    ("serde_saphyr::", "mcp-orchestrator-core/src/config/"),
];

/// The crates of the workspace, and the crates that each must not depend on.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    (
        "mcp-orchestrator-core",
        &[
            "mcp-orchestrator-gateway",
            "mcp-orchestrator-cli",
            "axum",
            "clap",
            "rmcp",
        ],
    ),
    (
        "mcp-orchestrator-gateway",
        &["mcp-orchestrator-cli", "rmcp"],
    ),
    ("mcp-orchestrator-cli", &["axum", "rmcp"]),
    ("examples", &["mcp-orchestrator-cli"]),
    ("benches", &[]),
    ("tests", &[]),
];

/// The largest number of lines of code in a file, without tests.
pub(crate) const MAX_FILE_LINES: usize = 400;

/// Longer files and their length, which may only shrink.
pub(crate) const LONG_FILES: &[(&str, usize)] = &[];

/// The largest number of files in a folder, without tests.
pub(crate) const MAX_FOLDER_FILES: usize = 15;

/// Folders with more files and their number, which may only shrink.
pub(crate) const LARGE_FOLDERS: &[(&str, usize)] = &[];
