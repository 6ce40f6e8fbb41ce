//! Resolves a server.

pub(crate) mod credentials;
pub(crate) mod egress;
mod env_file;
pub(crate) mod environment;
pub(crate) mod oauth;
mod oauth_parameters;
pub(crate) mod pod;
pub(crate) mod program;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::resolve::backends::Backends;
use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::server::program::{find_program, program};
use crate::config::schema::server::{EraEntry, ServerEntry, TransportEntry};
use crate::config::schema::units::Span;
use crate::config::settings::backends::BackendKind;
use crate::config::settings::credentials::ConfiguredCredential;
use crate::credential::OwnerKind;
use crate::id::ServerId;
use crate::server::{
    DeclaredTool, Isolation, Launch, Limits, Remote, RemoteTransport, ServerSpec, StartMode,
    WithoutCredential,
};
use crate::value::Text;

/// The server that the entry means; `None` where something is wrong with it, which the scope's report then says.
pub(crate) fn server(
    scope: &mut Scope<'_>,
    id: ServerId,
    entry: &ServerEntry,
    backends: &Backends,
) -> Option<(ServerSpec, Vec<ConfiguredCredential>)> {
    let remote = entry.url.is_some();
    let backend = if remote {
        BackendKind::default()
    } else {
        backends.backend_of(scope, entry.backend.as_ref())
    };
    let launch = launch(scope, entry, &backend, backends);
    let env = environment::env(scope, entry);
    let inherit_env = environment::inherit_env(scope, entry.inherit_env.as_deref());
    let (mut slots, sources) = credentials::slots(scope, &id, entry);
    let oauth = oauth::oauth(scope, entry, &mut slots);
    let install = entry.install.as_ref().map_or_else(
        || OwnerKind::ALL.to_vec(),
        |kinds| kinds.iter().copied().map(Into::into).collect(),
    );
    let without_credential = without_credential(scope, entry);
    let limits = limits(scope, entry);
    let egress = match &entry.egress {
        None if !remote => backends.egress(&backend),
        said => egress::egress(scope, said.as_ref()),
    };
    let isolation = entry.isolation.map_or_else(Isolation::default, Into::into);
    let start = entry.start.map_or_else(StartMode::default, Into::into);
    if start == StartMode::Eager && (isolation != Isolation::Shared || !slots.is_empty()) {
        let reason = "only a server with one instance for all can start eagerly: not one with credentials, nor one \
                      that is not shared";
        scope.problem("start", reason);
    }
    if scope.has_problem("") {
        return None;
    }
    let launch = launch?;
    if backend == BackendKind::Process && !remote {
        find_program(scope, &launch, &env);
    }
    let spec = ServerSpec {
        backend: entry.backend.as_ref().map(|_| backend.name()),
        env,
        inherit_env,
        slots,
        oauth,
        install,
        without_credential,
        era: entry.era.map(Into::into).unwrap_or_default(),
        isolation,
        start,
        limits,
        egress,
        ..ServerSpec::new(id, launch)
    };
    let is_silent = remote && entry.oauth.is_none() && spec.slots.is_empty();
    if is_silent && cfg!(feature = "oauth") && !sends_authorization(entry) {
        return Some((spec.with_oauth_if_refused(), sources));
    }
    Some((spec, sources))
}

/// Whether an entry says itself how its calls are authorized.
fn sends_authorization(entry: &ServerEntry) -> bool {
    let mut headers = entry.headers.iter().flatten();
    headers.any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
}

/// What a caller without a credential is shown.
fn without_credential(scope: &mut Scope<'_>, entry: &ServerEntry) -> WithoutCredential {
    let listed = entry.list_without_credential == Some(true);
    let needs = entry
        .credentials
        .as_ref()
        .is_some_and(|slots| !slots.is_empty());
    for (key, there) in [
        ("tools", entry.tools.is_some()),
        ("list_without_credential", listed),
    ] {
        if there && !needs {
            scope.problem(
                key,
                "has no effect, because this server needs no credential",
            );
        }
    }
    let Some(tools) = &entry.tools else {
        return if listed {
            WithoutCredential::Listed
        } else {
            WithoutCredential::Connect
        };
    };
    if listed {
        scope.problem(
            "tools",
            "cannot be combined with tools that are listed without a credential",
        );
    }
    let mut known = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let path = scope.path.key("tools").index(index);
        if tool.name.trim().is_empty() {
            scope.problem_at(&path, "`name` is missing");
        } else if !known.insert(&tool.name) {
            scope.problem_at(&path, "duplicate tool");
        }
    }
    let tools = tools.iter().map(|tool| DeclaredTool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        input_schema: tool
            .input_schema
            .clone()
            .map(|schema| schema.into_iter().collect()),
    });
    WithoutCredential::Declared(tools.collect())
}

fn launch(
    scope: &mut Scope<'_>,
    entry: &ServerEntry,
    backend: &BackendKind,
    backends: &Backends,
) -> Option<Launch> {
    let runs = entry.command.is_some() || entry.image.is_some();
    match (runs, entry.url.is_some()) {
        (true, true) => {
            scope.problem(
                "url",
                "a server has a `url`, or a `command` or `image`, not both",
            );
            None
        }
        (false, true) => remote(scope, entry).map(Launch::Remote),
        (true, false) => program(scope, entry, backend, backends).map(Launch::Program),
        (false, false) => {
            if !scope.has_problem("") {
                scope.problem("", "a server needs a `command`, an `image` or a `url`");
            }
            None
        }
    }
}

fn remote(scope: &mut Scope<'_>, entry: &ServerEntry) -> Option<Remote> {
    let out_of_place = [
        ("args", entry.args.is_some()),
        ("cwd", entry.cwd.is_some()),
        ("env", entry.env.is_some()),
        ("env_file", entry.env_file.is_some()),
        ("inherit_env", entry.inherit_env.is_some()),
        ("port", entry.port.is_some()),
        ("path", entry.path.is_some()),
        ("egress", entry.egress.is_some()),
        ("backend", entry.backend.is_some()),
        ("pod", entry.pod.is_some()),
    ];
    for (key, there) in out_of_place {
        if there && !scope.source.is_foreign() {
            scope.problem(key, "not allowed for a server with a `url`");
        }
    }
    let transport = match entry.transport {
        Some(TransportEntry::Stdio) => {
            scope.problem("type", "a server with a `url` is `http` or `sse`");
            return None;
        }
        Some(TransportEntry::Sse) => RemoteTransport::Sse,
        // Other programs take either transport for a URL, whatever its type says.
        Some(TransportEntry::Http) if !scope.source.is_foreign() => RemoteTransport::StreamableHttp,
        // HTTP+SSE is of the legacy era.
        None if matches!(entry.era, Some(EraEntry::Modern)) => RemoteTransport::StreamableHttp,
        Some(TransportEntry::Http) | None => RemoteTransport::Detect,
    };
    let headers = headers(scope, entry);
    let url = scope.plain("url", entry.url.as_ref())?;
    let path = scope.path.key("url");
    let url = scope.check(&path, check::url(&url))?;
    Some(Remote {
        url,
        headers,
        transport,
    })
}

fn headers(scope: &mut Scope<'_>, entry: &ServerEntry) -> BTreeMap<String, Text> {
    let mut headers = BTreeMap::new();
    for (name, typed) in entry.headers.iter().flatten() {
        let path = scope.path.key("headers").key(name);
        let header = match check::header_name(name) {
            Ok(header) => header,
            Err(message) => {
                scope.problem_at_key(&path, message);
                continue;
            }
        };
        if check::is_own_header(&header) {
            scope
                .below(path)
                .notice("", "not sent, because the gateway sets this header");
            continue;
        }
        let Some(value) = environment::secret_value(scope, &path, typed, None) else {
            continue;
        };
        scope.check(&path, check::header_value(value.expose()));
        if headers.insert(header.as_str().to_owned(), value).is_some() {
            scope.problem_at_key(&path, "duplicate header (names ignore case)");
        }
    }
    headers
}

fn limits(scope: &mut Scope<'_>, entry: &ServerEntry) -> Limits {
    let spans = [
        ("timeout", entry.timeout),
        ("start_timeout", entry.start_timeout),
        ("list_timeout", entry.list_timeout),
    ];
    for (key, span) in spans {
        if span.is_some_and(|Span(span)| span.is_zero()) {
            scope.problem(key, "must be longer than 0");
        }
    }
    if entry.max_message_bytes.is_some_and(|size| size.0 < 1024) {
        scope.problem("max_message_bytes", "must be at least 1KiB");
    }
    if entry.max_calls_in_flight == Some(0) {
        scope.problem("max_calls_in_flight", "must be at least 1");
    }
    let default = Limits::default();
    let or = |span: Option<Span>, default| span.map_or(default, |Span(span)| span);
    Limits {
        call_timeout: or(entry.timeout, default.call_timeout),
        start_timeout: or(entry.start_timeout, default.start_timeout),
        list_timeout: or(entry.list_timeout, default.list_timeout),
        stop_grace: or(entry.stop_grace, default.stop_grace),
        drain_timeout: or(entry.drain_timeout, default.drain_timeout),
        idle_timeout: entry
            .idle_timeout
            .map_or(default.idle_timeout, |span| span.0),
        message_bytes: entry
            .max_message_bytes
            .map_or(default.message_bytes, |size| size.0),
        calls_in_flight: entry.max_calls_in_flight.unwrap_or(default.calls_in_flight),
        task_ttl_max: or(entry.task_ttl_max, default.task_ttl_max),
    }
}
