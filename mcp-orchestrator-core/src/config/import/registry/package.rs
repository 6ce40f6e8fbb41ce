//! Imports a package as a program run by `npx`, `uvx` or `dnx`, or as an image.

use super::inputs::{Place, escaped, filled};
use crate::config::import::builder::{EntryBuilder, typed};
use crate::config::import::registry::server_json::{Argument, Input, Named, Package};
use crate::config::schema::server::TransportEntry;
use crate::config::schema::value::{TextOr, Typed};

/// Options of `npx`, `uvx` and `dnx` that do not change which code runs.
const PLAIN_OPTIONS: &[&str] = &[
    "-y",
    "--yes",
    "-q",
    "--quiet",
    "--offline",
    "--prefer-offline",
    "--no-progress",
    "--refresh",
    "--isolated",
    "--no-cache",
    "--prerelease",
    "--verbose",
];
/// Options with a value that do not change which code runs.
const PLAIN_OPTIONS_WITH_VALUE: &[&str] = &["--python", "--python-preference"];

impl Package {
    /// Creates a program from the package.
    ///
    /// # Errors
    /// Why it cannot run here.
    pub(super) fn make(&self, made: &mut EntryBuilder) -> Result<(), String> {
        self.check()?;
        self.speaks(made)?;
        match self.registry_type.as_str() {
            "npm" | "pypi" | "nuget" => self.program(made)?,
            "oci" => {}
            "mcpb" => {
                return Err("a bundle (mcpb) can only be unpacked by desktop programs".to_owned());
            }
            "" => return Err("it has no registry type".to_owned()),
            other => {
                return Err(format!(
                    "unknown package type {other}; known are npm, pypi, nuget and oci"
                ));
            }
        }
        for named in &self.environment_variables {
            named.make(Place::Env, made)?;
        }
        if self.registry_type == "oci" {
            self.container(made)?;
        }
        Ok(())
    }

    /// Sets the transport of the program.
    fn speaks(&self, made: &mut EntryBuilder) -> Result<(), String> {
        let Some(transport) = &self.transport else {
            return Ok(());
        };
        match transport.r#type.as_str() {
            "" | "stdio" => return Ok(()),
            "streamable-http" | "streamable" | "http" => {}
            other => {
                return Err(format!(
                    "unsupported transport {other}: only remote servers may use it"
                ));
            }
        }
        made.entry.transport = Some(TransportEntry::Http);
        let Some(url) = transport.url.as_deref() else {
            return Ok(());
        };
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if !path.is_empty() && path != "/mcp" {
            let path = filled(path, &transport.variables, "path", made)?;
            made.entry.path = Some(Typed(path));
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let name = port.and_then(|port| port.strip_prefix('{')?.strip_suffix('}'));
        match (port.map(str::parse::<u16>), name) {
            (Some(Ok(port)), _) if port > 0 => made.entry.port = Some(port),
            (_, Some(name)) => made.port_name = Some(name.to_owned()),
            _ => {}
        }
        for header in &transport.headers {
            made.notice(format!(
                "the header {} is left out: a local program receives no headers",
                header.name
            ));
        }
        Ok(())
    }

    fn program(&self, made: &mut EntryBuilder) -> Result<(), String> {
        let registry = self.registry()?.map(str::to_owned);
        let option = |name: &str| {
            registry
                .iter()
                .map(|url| format!("{name}={url}"))
                .collect::<Vec<_>>()
        };
        let (identifier, version) = (&self.identifier, self.version.as_deref());
        let at = version.map_or_else(
            || identifier.clone(),
            |version| format!("{identifier}@{version}"),
        );
        let before = self.options(made)?;
        let own = arguments(&self.package_arguments, made)?;
        let mut command: Vec<String> = Vec::new();
        match self.registry_type.as_str() {
            "npm" => {
                command.extend(["npx".to_owned(), "-y".to_owned()]);
                command.extend(option("--registry"));
                command.extend(before);
                command.push(escaped(&at));
            }
            "pypi" => {
                command.push("uvx".to_owned());
                command.extend(option("--default-index"));
                command.extend(before);
                command.push(escaped(&at));
            }
            _ => {
                command.extend(["dnx".to_owned(), escaped(&at), "--yes".to_owned()]);
                command.extend(option("--source"));
                command.extend(before);
                if !own.is_empty() {
                    command.push("--".to_owned());
                }
            }
        }
        command.extend(own);
        made.entry.command = Some(TextOr::Other(typed(command)));
        Ok(())
    }

    /// Returns the options of the package manager. An option is rejected if it could change which code runs.
    fn options(&self, made: &mut EntryBuilder) -> Result<Vec<String>, String> {
        let all = arguments(&self.runtime_arguments, made)?;
        let mut kept = Vec::new();
        let mut all = all.into_iter().peekable();
        while let Some(argument) = all.next() {
            let head = argument.split('=').next().unwrap_or_default();
            if PLAIN_OPTIONS_WITH_VALUE.contains(&head) {
                let inline = argument.contains('=');
                let value = all.next_if(|_| !inline);
                kept.push(argument);
                kept.extend(value);
            } else if PLAIN_OPTIONS.contains(&argument.as_str()) {
                if !matches!(argument.as_str(), "-y" | "--yes") {
                    kept.push(argument);
                }
            } else {
                let shown: String = head.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(format!(
                    "{shown:?} among the arguments of its package manager could run other code than this package"
                ));
            }
        }
        Ok(kept)
    }

    fn container(&self, made: &mut EntryBuilder) -> Result<(), String> {
        let own = arguments(&self.package_arguments, made)?;
        let mut left = Vec::new();
        for argument in &self.runtime_arguments {
            match argument.variable() {
                Some(variable) if made.sets(&variable.name) => {}
                Some(variable) => variable.make(Place::Env, made)?,
                None if argument.is_implied() => {}
                None => left.push(argument),
            }
        }
        if !left.is_empty() {
            let words = left.into_iter().flat_map(Argument::words);
            let shown: Vec<&str> = words
                .map(|word| word.split('=').next().unwrap_or_default())
                .collect();
            made.notice(format!(
                "its arguments for docker are left out ({}); see `pod` for the settings of containers",
                shown.join(" ")
            ));
        }
        made.image(&self.image()?, typed(own));
        made.image_speaks()
    }
}

impl Argument {
    /// Returns the variable that an argument of docker sets: `-e NAME=value` or `-e NAME`.
    fn variable(&self) -> Option<Named> {
        let name = self.name.as_deref()?;
        if self.r#type != "named" || !matches!(name, "-e" | "--env") {
            return None;
        }
        let text = self.input.value.as_ref().or(self.input.default.as_ref())?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        Some(Named {
            name: name.to_owned(),
            input: Input {
                value,
                default: None,
                ..self.input.clone()
            },
        })
    }

    /// Returns `true` for the arguments of docker that each program gets.
    fn is_implied(&self) -> bool {
        matches!(
            self.words()[..],
            ["run" | "-i" | "--rm" | "--interactive" | "-it"]
        )
    }

    /// Returns the words of the argument, with their placeholders.
    fn words(&self) -> Vec<&str> {
        let name = self.name.as_deref().filter(|_| self.r#type == "named");
        let input = &self.input;
        let value = input.value.as_deref().or(input.default.as_deref());
        name.into_iter().chain(value).collect()
    }
}

fn arguments(list: &[Argument], made: &mut EntryBuilder) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for argument in list {
        argument.make(&mut all, made)?;
    }
    Ok(all)
}
