//! Resolves a program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::resolve::backends::Backends;
use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::server::pod;
use crate::config::schema::server::{PortOwnerEntry, ServerEntry, TransportEntry};
use crate::config::schema::value::TextOr;
use crate::config::settings::backends::BackendKind;
use crate::server::{CommandLine, Container, Launch, PortOwner, Program, ProgramTransport};
use crate::value::Text;

/// Resolves the program of an entry for this backend.
pub(crate) fn program(
    scope: &mut Scope<'_>,
    entry: &ServerEntry,
    backend: &BackendKind,
    backends: &Backends,
) -> Option<Program> {
    if entry.headers.is_some() && !scope.source.is_foreign() {
        scope.problem("headers", "headers belong to a server with a `url`");
    }
    let transport = program_transport(scope, entry);
    let mut image = scope.plain("image", entry.image.as_ref());
    let in_container = *backend == BackendKind::Kubernetes || entry.image.is_some();
    let command = command_line(scope, entry, in_container);
    let args = match &entry.command {
        None => arguments(scope, entry),
        Some(_) => Vec::new(),
    };
    let mut container = match &entry.pod {
        Some(pod) => {
            let path = scope.path.key("pod");
            pod::container(&mut scope.below(path), pod)
        }
        None => Container::default(),
    };
    match backend {
        BackendKind::Process if entry.command.is_none() => scope.problem(
            "image",
            "a process needs a `command`; add one, or run the image in a cluster with `backend: kubernetes`",
        ),
        BackendKind::Process | BackendKind::Registered(_) => {}
        BackendKind::Kubernetes => {
            backends.apply_defaults(&mut container);
            image = image.or_else(|| backends.base_image().map(str::to_owned));
            if entry.inherit_env.is_some() {
                let text = "a pod does not inherit the gateway's environment; set the variable in `env`";
                scope.problem("inherit_env", text);
            }
        }
    }
    Some(Program {
        command,
        image,
        args,
        transport: transport?,
        container: Box::new(container),
    })
}

fn program_transport(scope: &mut Scope<'_>, entry: &ServerEntry) -> Option<ProgramTransport> {
    match entry.transport {
        Some(TransportEntry::Sse) => {
            scope.problem("type", "a program is `stdio` or `http`");
            None
        }
        Some(TransportEntry::Http) => {
            let path = match &entry.path {
                Some(_) => scope.plain("path", entry.path.as_ref())?,
                None => "/mcp".to_owned(),
            };
            if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
                scope.problem("path", "must be a path, e.g. /mcp");
            }
            if entry.port == Some(0) {
                scope.problem(
                    "port",
                    "leave it out for a free port, which the program receives as ${PORT}",
                );
            }
            Some(ProgramTransport::Http {
                port: entry.port,
                path,
                owner: match entry.port_owner {
                    Some(PortOwnerEntry::Any) => PortOwner::Any,
                    Some(PortOwnerEntry::Server) | None => PortOwner::Server,
                },
            })
        }
        Some(TransportEntry::Stdio) | None => {
            for (key, there) in [
                ("port", entry.port.is_some()),
                ("path", entry.path.is_some()),
                ("port_owner", entry.port_owner.is_some()),
            ] {
                if there {
                    scope.problem(key, "only applies to a program with `type: http`");
                }
            }
            Some(ProgramTransport::Stdio)
        }
    }
}

/// Returns the variable that is kept unexpanded in arguments.
fn kept(entry: &ServerEntry) -> Option<&'static str> {
    (entry.transport == Some(TransportEntry::Http)).then_some("PORT")
}

/// Resolves the arguments for an image's own program.
fn arguments(scope: &mut Scope<'_>, entry: &ServerEntry) -> Vec<Text> {
    let path = scope.path.key("args");
    let mut texts = Vec::new();
    for (index, arg) in entry.args.iter().flatten().enumerate() {
        texts.extend(scope.text(&path.index(index), arg, kept(entry)));
    }
    texts
}

fn command_line(
    scope: &mut Scope<'_>,
    entry: &ServerEntry,
    in_container: bool,
) -> Option<CommandLine> {
    let at = scope.path.key("command");
    let Some(command) = &entry.command else {
        if entry.cwd.is_some() {
            scope.problem("cwd", "needs a `command`");
        }
        return None;
    };
    let keep = kept(entry);
    let (program, program_at, args, args_at, first) = match command {
        TextOr::Text(program) => {
            let args = entry.args.as_deref().unwrap_or_default();
            (program, at.clone(), args, scope.path.key("args"), 0)
        }
        TextOr::Other(list) => {
            if entry.args.is_some() {
                scope.problem("args", "`command` is a list; put the arguments into it");
            }
            let Some((program, args)) = list.split_first() else {
                scope.problem_at(&at, "must not be empty");
                return None;
            };
            (program, at.index(0), args, at.clone(), 1)
        }
    };
    let mut texts = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        texts.extend(scope.text(&args_at.index(index + first), arg, keep));
    }
    let cwd = cwd(scope, entry, in_container);
    let program = scope.text(&program_at, program, None)?;
    let program = program.expose();
    if program.trim().is_empty() {
        scope.problem_at(&program_at, "must not be empty");
        return None;
    }
    let relative = program.contains('/') && !in_container;
    let program = if relative {
        scope.source.resolve(program).to_string_lossy().into_owned()
    } else {
        program.to_owned()
    };
    Some(CommandLine {
        program,
        args: texts,
        cwd,
    })
}

fn cwd(scope: &mut Scope<'_>, entry: &ServerEntry, in_container: bool) -> Option<PathBuf> {
    let cwd = scope.plain("cwd", entry.cwd.as_ref())?;
    if in_container {
        return Some(PathBuf::from(cwd));
    }
    let cwd = scope.source.resolve(&cwd);
    if !cwd.is_dir() {
        scope.problem("cwd", "folder not found");
    }
    Some(cwd)
}

/// Adds a notice if the program is not found. This is not an error, because it may be installed later.
pub(crate) fn find_program(scope: &mut Scope<'_>, launch: &Launch, env: &BTreeMap<String, Text>) {
    let Launch::Program(Program {
        command: Some(command),
        image: None,
        ..
    }) = launch
    else {
        return;
    };
    let path = match env.get("PATH") {
        Some(Text::Plain(path)) => Some(path.as_str()),
        Some(Text::Secret(_)) => return,
        None => scope.variables.get("PATH"),
    };
    if let Err(message) = check::program(&command.program, path) {
        let hint = if command.program.contains(' ') {
            "; for a command with arguments, write a list, or use `args`"
        } else {
            ""
        };
        scope.notice("command", format!("{message}{hint}"));
    }
}
