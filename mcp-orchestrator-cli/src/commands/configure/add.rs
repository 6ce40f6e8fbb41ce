//! `add`: adds a server to the configuration file. Secrets are never accepted as arguments, which every process on the
//! machine may read: they are references to a variable or a file, or are read from standard input and stored in a file
//! in the state directory.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{
    CredentialEntry, HeaderEntry, ServerEntry, TextOr, Typed, state_dir_of,
};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::mask::{masked_url, may_be_secret, secret_args};

use crate::args::AddArgs;
use crate::config_file;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) fn run(args: &AddArgs) -> Result<Exit, Failure> {
    let id = ServerId::new(&args.name).map_err(Failure::usage)?;
    let file = config_file::file(&args.files)?;
    let (entry, secret) = entry(args, &id, &file)?;
    warn_of_secrets(args);
    config_file::add(&file, &args.files, &[(id, entry)], args.replace)?;
    if let Some(secret) = secret {
        secret.keep()?;
    }
    Ok(Exit::Done)
}

/// Warns about plain values that look like secrets: they end up in the file, and other users can read arguments.
fn warn_of_secrets(args: &AddArgs) {
    let words: Vec<String> = args.command.iter().chain(&args.program).cloned().collect();
    if !secret_args(&words).is_empty() {
        output::note(
            "warning: an argument looks like a secret; pass it as a variable with --secret-env NAME=env:VARIABLE",
        );
    }
    for (pairs, option) in [
        (&args.env, "--secret-env"),
        (&args.header, "--secret-header"),
    ] {
        for (name, value) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
            if may_be_secret(name, value) {
                output::note(&format!(
                    "warning: {name} looks like a secret; {option} {name}=env:VARIABLE keeps it out of the file"
                ));
            }
        }
    }
    if let Some(url) = args.url.as_ref().filter(|url| masked_url(url) != **url) {
        let shown = masked_url(url);
        output::note(&format!(
            "warning: the URL seems to contain a secret: {shown}"
        ));
    }
}

/// A secret from standard input and its file.
struct Secret {
    file: PathBuf,
    value: String,
}

impl Secret {
    /// Writes the secret to a file that only this user can read.
    fn keep(self) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::failed(format!("{}: {error}", self.file.display()));
        if let Some(folder) = self.file.parent() {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut out = options.open(&self.file).map_err(failed)?;
        out.write_all(self.value.as_bytes()).map_err(failed)?;
        output::line(&format!("saved the secret to {}", self.file.display()))
    }
}

fn entry(
    args: &AddArgs,
    id: &ServerId,
    file: &Path,
) -> Result<(ServerEntry, Option<Secret>), Failure> {
    let command = if args.command.is_empty() {
        &args.program
    } else {
        &args.command
    };
    let command: Vec<Typed> = command.iter().cloned().map(Typed::from).collect();
    let mut credentials = Vec::new();
    let mut secret = None;
    for (pairs, header) in [(&args.secret_env, false), (&args.secret_header, true)] {
        for pair in pairs {
            let (name, source) = pair_of(pair, "NAME=SOURCE")?;
            let mut slot = slot(args, id, file, &name.to_lowercase(), source, &mut secret)?;
            if header {
                slot.header = Some(TextOr::Text(name.into()));
            } else {
                slot.env = Some(name.to_owned());
            }
            credentials.push(slot);
        }
    }
    if let Some(source) = &args.bearer {
        let mut slot = slot(args, id, file, "token", source, &mut secret)?;
        slot.header = Some(TextOr::Other(HeaderEntry {
            name: "Authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        }));
        credentials.push(slot);
    }
    let entry = ServerEntry {
        command: (!command.is_empty()).then_some(TextOr::Other(command)),
        url: args.url.clone().map(Typed::from),
        env: map(&args.env)?,
        headers: map(&args.header)?,
        credentials: (!credentials.is_empty()).then_some(credentials),
        ..ServerEntry::default()
    };
    Ok((entry, secret))
}

/// Returns a credential slot with its source. A secret on standard input is read now.
fn slot(
    args: &AddArgs,
    id: &ServerId,
    file: &Path,
    name: &str,
    source: &str,
    secret: &mut Option<Secret>,
) -> Result<CredentialEntry, Failure> {
    let mut slot = CredentialEntry {
        name: Some(name.to_owned()),
        ..CredentialEntry::default()
    };
    if let Some(variable) = source.strip_prefix("env:") {
        slot.from_env = Some(variable.to_owned());
    } else if let Some(path) = source.strip_prefix("file:") {
        let path = std::path::absolute(path).map_err(Failure::failed)?;
        slot.from_file = Some(path.display().to_string().into());
    } else if source == "-" && secret.is_none() {
        let kept = Secret {
            file: secrets(args, file)?.join(format!("{id}.{name}")),
            value: read_secret()?,
        };
        slot.from_file = Some(kept.file.display().to_string().into());
        *secret = Some(kept);
    } else {
        // Do not repeat the source, which may be the secret itself.
        let text = "a secret is never an argument: give env:VARIABLE, file:PATH, or - for standard input (once)";
        return Err(Failure::usage(text));
    }
    Ok(slot)
}

/// Returns the directory for secrets of this configuration.
fn secrets(args: &AddArgs, file: &Path) -> Result<PathBuf, Failure> {
    let options = args.files.load_options().map_err(Failure::usage)?;
    let state = state_dir_of(&[file.to_path_buf()], &options);
    let state = state.ok_or_else(|| {
        Failure::usage("cannot choose a state directory, because HOME is not set; use --state-dir")
    })?;
    Ok(std::path::absolute(state)
        .map_err(Failure::failed)?
        .join("secrets"))
}

fn read_secret() -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    let value = line.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() {
        return Err(Failure::usage("standard input holds no secret"));
    }
    Ok(value)
}

fn map(pairs: &[String]) -> Result<Option<BTreeMap<String, Typed>>, Failure> {
    let mut map = BTreeMap::new();
    for pair in pairs {
        let (name, value) = pair_of(pair, "NAME=VALUE")?;
        map.insert(name.to_owned(), Typed::from(value));
    }
    Ok((!map.is_empty()).then_some(map))
}

fn pair_of<'p>(pair: &'p str, form: &str) -> Result<(&'p str, &'p str), Failure> {
    pair.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("an option must be {form}")))
}
