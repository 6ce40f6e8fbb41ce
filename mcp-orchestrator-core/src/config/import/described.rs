//! A server that somebody published, on its way to an entry of ours.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer};

use super::server_variable;
use super::translate::{Part, escaped};
use crate::config::file::{TextOr, Typed};
use crate::config::file_server::{ServerEntry, TransportEntry};
use crate::id::ServerId;

/// What is being made of a description. Its texts are in our own syntax; nothing that the description says is read as a
/// variable.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: ServerId,
    pub(super) entry: ServerEntry,
    /// Variables that the entry names, and where.
    pub(super) variables: Vec<(String, String)>,
    pub(super) notices: Vec<String>,
    /// Whether images can be run.
    pub(super) containers: bool,
    /// The variable of the description that stands for the port of the program.
    pub(super) port_name: Option<String>,
}

impl Made {
    pub(super) fn new(id: ServerId, containers: bool) -> Self {
        Self {
            id,
            entry: ServerEntry::default(),
            variables: Vec::new(),
            notices: Vec::new(),
            containers,
            port_name: None,
        }
    }

    /// The name of a variable of this server's own.
    pub(super) fn own_variable(&self, name: &str) -> String {
        server_variable(&self.id, name.trim_start_matches('-'))
    }

    /// A variable of this server's own, in the place of what nobody has said yet.
    pub(super) fn variable(&mut self, name: &str, used_by: &str) -> Part {
        let variable = self.own_variable(name);
        self.variables.push((variable.clone(), used_by.to_owned()));
        Part::Reference(variable)
    }

    /// Says something about the server.
    pub(super) fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Runs an image with these arguments: in a container where images run, else by Docker, with no more rights than it
    /// gives by itself. Call it after slots and variables are there.
    pub(super) fn image(&mut self, image: &str, args: Vec<Typed>) {
        if self.containers {
            self.entry.image = Some(Typed(escaped(image)));
            self.entry.args = (!args.is_empty()).then_some(args);
            return;
        }
        let mut command: Vec<Typed> = ["docker", "run", "-i", "--rm"].map(Typed::from).to_vec();
        let slots = self.entry.credentials.iter().flatten();
        let slots = slots.filter_map(|slot| slot.env.clone());
        let names = self
            .entry
            .env
            .iter()
            .flatten()
            .map(|(name, _)| name.clone());
        for name in names.chain(slots) {
            command.extend([Typed::from("-e"), Typed(name)]);
        }
        command.push(Typed(escaped(image)));
        command.extend(args);
        self.entry.command = Some(TextOr::Other(command));
    }

    /// Whether an image that is run as [`Self::image`] does it can be spoken to.
    ///
    /// # Errors
    /// It speaks HTTP, and Docker would have to be asked for its port.
    pub(super) fn image_speaks(&self) -> Result<(), String> {
        if self.entry.transport == Some(TransportEntry::Http) && !self.containers {
            return Err(
                "an image that speaks HTTP runs where images run: `--backend kubernetes`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Names keys that nothing was made of.
    pub(super) fn unused<T>(&mut self, keys: &BTreeMap<String, T>) {
        let presentation = [
            "description",
            "title",
            "name",
            "icon",
            "icons",
            "tags",
            "metadata",
            "repository_url",
            "custom_metadata",
        ];
        let names = keys
            .keys()
            .filter(|key| !presentation.contains(&key.as_str()));
        let names: Vec<&str> = names.map(String::as_str).take(20).collect();
        if !names.is_empty() {
            self.notice(format!("not used here: {}", names.join(", ")));
        }
    }
}

/// Texts as they are.
pub(super) fn typed(list: impl IntoIterator<Item = String>) -> Vec<Typed> {
    list.into_iter().map(Typed).collect()
}

/// Texts that mean themselves.
pub(super) fn literal(list: &[String]) -> Vec<Typed> {
    typed(list.iter().map(|text| escaped(text)))
}

/// A truth value that is written as a text.
///
/// # Errors
/// It is another text.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(serde::de::Error::custom("true or false is expected")),
    }
}

/// A number that is written as a text.
///
/// # Errors
/// It is no port.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let port = text.parse::<u16>();
    port.map(|port| (port > 0).then_some(port))
        .map_err(|_| serde::de::Error::custom("a port is expected"))
}
