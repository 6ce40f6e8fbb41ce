//! Assesses what a user should review before an imported server runs.

use super::options::ImportValues;
use crate::config::import::risky_variables::{is_loader, is_mild};
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::TextOr;
use crate::id::ServerId;
use crate::mask::{masked_args, masked_url, secret_args};

/// A property of an imported server with effects beyond its tools.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Risk {
    /// The server.
    pub server: ServerId,
    /// Description of the risk.
    pub text: String,
    /// `true` if a user must confirm it before the server is written.
    pub confirm: bool,
}

/// Origin of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file of another program, which already runs the server.
    Program(ImportValues),
    /// A published description.
    Catalog,
}

/// Adds the risks of an entry.
pub(super) fn assess(id: &ServerId, entry: &ServerEntry, origin: Origin, risks: &mut Vec<Risk>) {
    let command: Vec<&str> = match &entry.command {
        Some(TextOr::Text(program)) => vec![&program.0],
        Some(TextOr::Other(list)) => list.iter().map(|text| text.0.as_str()).collect(),
        None => Vec::new(),
    };
    let mut found = of_environment(entry, origin);
    found.extend(of_address(entry, origin));
    found.extend(of_arguments(entry, &command));
    if let Some((program, args)) = command.split_first() {
        found.extend(of_command(program, args, origin));
    }
    risks.extend(found.into_iter().map(|(confirm, text)| Risk {
        server: id.clone(),
        text,
        confirm,
    }));
}

/// Risks of the variables that an entry sets or takes from the gateway's environment.
fn of_environment(entry: &ServerEntry, origin: Origin) -> Vec<(bool, String)> {
    let slots = entry.credentials.iter().flatten();
    let slots = slots.filter_map(|slot| slot.env.as_deref());
    let set = entry.env.iter().flatten().map(|(name, _)| name.as_str());
    let loaders = set.chain(slots).filter(|name| is_loader(name));
    let mut found: Vec<_> = loaders
        .map(|name| {
            let confirm = match origin {
                Origin::Catalog => true,
                Origin::Program(ImportValues::Keep) => !is_mild(name) || name != "PATH",
                Origin::Program(ImportValues::Reference) => !is_mild(name),
            };
            let text = format!("it sets {name}, which can make the program run other code");
            (confirm, text)
        })
        .collect();
    let inherited = entry.inherit_env.iter().flatten();
    found.extend(inherited.map(|name| {
        let text = format!("it gets {name} of the gateway's environment");
        (false, text)
    }));
    found
}

/// Risks of the address of a remote server.
fn of_address(entry: &ServerEntry, origin: Origin) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let Some(url) = &entry.url else {
        return found;
    };
    if origin != Origin::Catalog && url.0.replace("$${", "").contains("${") {
        let text = "its address is put together of variables of the gateway's environment, which its operator can then \
                    read";
        found.push((true, text.to_owned()));
    }
    let shown = masked_url(&url.0);
    if shown != url.0 {
        let text = format!("its URL contains what looks like a secret: {shown}");
        found.push((false, text));
    }
    found
}

/// Risks of the arguments, which every user of the machine can read.
fn of_arguments(entry: &ServerEntry, command: &[&str]) -> Option<(bool, String)> {
    let args = entry.args.iter().flatten().map(|text| text.0.as_str());
    let words = command.iter().copied().chain(args).map(str::to_owned);
    let words: Vec<String> = words.collect();
    if secret_args(&words).is_empty() {
        return None;
    }
    let shown = masked_args(words).join(" ");
    let text = format!(
        "its arguments contain what looks like a secret, which other users of the machine can read: {shown}"
    );
    Some((false, text))
}

/// Returns the risks of a command line.
fn of_command(program: &str, args: &[&str], origin: Origin) -> Vec<(bool, String)> {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let name = name.trim_end_matches(".exe").trim_end_matches(".cmd");
    let catalog = origin == Origin::Catalog;
    let mut found = Vec::new();
    if let Some(flag) = args.iter().find(|arg| runs_code(name, arg)) {
        let text = format!("{name} {} runs the code that follows it", head(flag));
        found.push((catalog, text));
    }
    match name {
        "docker" | "podman" | "nerdctl" | "container" | "finch" => {
            found.extend(container(args, catalog));
        }
        "env" => found.push((
            catalog,
            "env runs a program with other variables".to_owned(),
        )),
        "npx" | "npm" | "pnpm" | "pnpx" | "bunx" | "yarn" => {
            found.extend(registry(name, args, &["--registry", "--userconfig"]));
            found.extend(elsewhere(name, args));
        }
        "uvx" | "uv" | "pipx" | "dnx" => {
            found.extend(registry(name, args, INDEXES));
            found.extend(elsewhere(name, args));
        }
        _ => {}
    }
    found
}

/// Package manager options that select another registry.
const INDEXES: &[&str] = &[
    "--index",
    "--index-url",
    "--default-index",
    "--extra-index-url",
    "--source",
    "--find-links",
];

/// Returns `true` if this argument of the program is followed by code.
fn runs_code(name: &str, arg: &str) -> bool {
    let flags: &[&str] = match name {
        "sh" | "bash" | "zsh" | "dash" | "ksh" | "fish" => &["-c", "-lc", "-ic", "-lic", "-ec"],
        "cmd" => &["/c", "/C", "/k"],
        "powershell" | "pwsh" => &["-c", "-Command", "-EncodedCommand", "-enc"],
        "node" | "bun" | "deno" | "tsx" => &[
            "-e",
            "--eval",
            "-p",
            "--print",
            "-r",
            "--require",
            "--import",
            "eval",
        ],
        "python" | "python3" | "py" | "ruby" | "perl" | "php" => &["-c", "-e", "-r"],
        "npx" | "npm" | "pnpm" | "pnpx" | "bunx" | "yarn" => &[
            "-c",
            "--call",
            "--node-options",
            "--script-shell",
            "--shell",
        ],
        _ => &[],
    };
    flags.iter().any(|flag| is_flag(arg, flag))
}

/// Detects packages from a registry other than the public one.
fn registry(name: &str, args: &[&str], flags: &[&str]) -> Option<(bool, String)> {
    let flag = args
        .iter()
        .find(|arg| flags.iter().any(|flag| is_flag(arg, flag)))?;
    Some((
        true,
        format!("{name} uses another source of packages: {}", head(flag)),
    ))
}

/// Detects a package that is given as a URL or a path.
fn elsewhere(name: &str, args: &[&str]) -> Option<(bool, String)> {
    let is_address = |arg: &&&str| {
        let value = arg.split_once('=').map_or(**arg, |(_, value)| value);
        [
            "git+", "https://", "http://", "file:", "github:", "git://", "git@",
        ]
        .iter()
        .any(|scheme| value.starts_with(scheme))
    };
    let first = args.iter().find(|arg| !arg.starts_with('-'));
    let from = args
        .iter()
        .position(|arg| is_flag(arg, "--from") || is_flag(arg, "--with"));
    let from = from.and_then(|at| {
        if args[at].contains('=') {
            args.get(at)
        } else {
            args.get(at + 1)
        }
    });
    let found = first
        .filter(is_address)
        .or_else(|| from.filter(is_address))?;
    let shown: String = found.chars().take(80).collect();
    Some((false, format!("{name} runs what it downloads: {shown}")))
}

/// Detects arguments that weaken the isolation of a container.
fn container(args: &[&str], catalog: bool) -> Vec<(bool, String)> {
    const OPEN: &[&str] = &[
        "--privileged",
        "--cap-add",
        "--device",
        "--device-cgroup-rule",
        "--security-opt",
        "--volumes-from",
        "--userns",
        "--uts",
        "--cgroupns",
        "--cgroup-parent",
        "--runtime",
        "--add-host",
        "--env-file",
        "--gpus",
        "--sysctl",
        "--group-add",
        "--entrypoint",
        "--pid",
        "--ipc",
    ];
    let mut found = Vec::new();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let inline = arg.split_once('=').map(|(_, value)| value);
        let value = inline
            .or(args.peek().map(|next| **next))
            .unwrap_or_default();
        if let Some(flag) = OPEN.iter().find(|flag| is_flag(arg, flag)) {
            let mild = *flag == "--entrypoint" || *flag == "--env-file" || *flag == "--add-host";
            found.push((catalog || !mild, format!("the container runs with {flag}")));
        } else if (is_flag(arg, "--network") || is_flag(arg, "--net"))
            && !["none", "bridge"].contains(&value)
        {
            let wide = value == "host" || value.starts_with("container:");
            found.push((
                catalog || wide,
                format!("the container is in the network {value}"),
            ));
        } else if let Some(source) = mounted(arg, value) {
            let wide = is_wide(source);
            found.push((
                catalog || wide,
                format!("the container can reach {source} of this machine"),
            ));
        }
    }
    found
}

/// Returns the path on the host that an argument mounts.
fn mounted<'a>(arg: &'a str, value: &'a str) -> Option<&'a str> {
    if is_flag(arg, "-v") || is_flag(arg, "--volume") {
        return value.split_once(':').map(|(source, _)| source);
    }
    // For example `-v/a:/b`.
    if let Some(short) = arg
        .strip_prefix("-v")
        .filter(|rest| rest.starts_with(['/', '.', '~', '$']))
    {
        return short.split_once(':').map(|(source, _)| source);
    }
    if is_flag(arg, "--mount") {
        let mut parts = value.split(',');
        return parts.find_map(|part| part.strip_prefix("source=").or(part.strip_prefix("src=")));
    }
    None
}

/// Returns `true` if access to this directory gives control over the machine, or access to its user's secrets.
fn is_wide(source: &str) -> bool {
    let path = source.trim_end_matches('/');
    const WIDE: &[&str] = &[
        "", "~", "$HOME", "${HOME}", "/etc", "/root", "/home", "/Users", "/proc", "/sys", "/dev",
        "/var", "/usr", "/boot", "/var/run", "/run", "/bin", "/lib",
    ];
    WIDE.contains(&path)
        || path.contains("docker.sock")
        || path.contains("podman.sock")
        || path.contains("containerd.sock")
        || [
            "/.ssh", "/.aws", "/.kube", "/.gnupg", "/.docker", "/.config",
        ]
        .iter()
        .any(|end| path.contains(end))
        || path.starts_with("/etc/")
        || path.starts_with("/proc/")
        || path.starts_with("/root/")
}

/// Returns `true` if an argument is this flag, with or without a value after `=`.
fn is_flag(arg: &str, flag: &str) -> bool {
    arg == flag
        || arg
            .strip_prefix(flag)
            .is_some_and(|rest| rest.starts_with('='))
}

/// Returns the flag without its value.
fn head(arg: &str) -> &str {
    arg.split('=').next().unwrap_or(arg)
}
