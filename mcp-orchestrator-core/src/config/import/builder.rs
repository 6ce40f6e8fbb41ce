//! The conversion of a published server to an entry in our own format.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer};

use super::imported::server_variable;
use super::translate::{Part, escaped};
use crate::config::schema::server::{ServerEntry, TransportEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::id::ServerId;

/// An entry in the making. Its texts use our own syntax; no text of the description is read as a variable.
#[derive(Debug)]
pub(crate) struct EntryBuilder {
    pub(crate) id: ServerId,
    pub(crate) entry: ServerEntry,
    /// The variables that the entry names, each with its position.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) notices: Vec<String>,
    /// `true` if images can run.
    pub(crate) containers: bool,
    /// The variable of the description for the program's port.
    pub(crate) port_name: Option<String>,
}

impl EntryBuilder {
    pub(crate) fn new(id: ServerId, containers: bool) -> Self {
        Self {
            id,
            entry: ServerEntry::default(),
            variables: Vec::new(),
            notices: Vec::new(),
            containers,
            port_name: None,
        }
    }

    /// Returns the name of a variable that belongs to this server alone.
    pub(crate) fn own_variable(&self, name: &str) -> String {
        server_variable(&self.id, name.trim_start_matches('-'))
    }

    /// Adds a variable of this server for a value that is not given yet.
    pub(crate) fn variable(&mut self, name: &str, used_by: &str) -> Part {
        let variable = self.own_variable(name);
        self.variables.push((variable.clone(), used_by.to_owned()));
        Part::Reference(variable)
    }

    /// Adds a notice about the server.
    pub(crate) fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Runs an image with these arguments: in a container if images can run, otherwise through Docker without
    /// additional privileges. Call this after slots and variables were added.
    pub(crate) fn image(&mut self, image: &str, args: Vec<Typed>) {
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

    /// Returns `true` if the entry sets this variable.
    pub(crate) fn sets(&self, name: &str) -> bool {
        let mut slots = self.entry.credentials.iter().flatten();
        let fixed = self
            .entry
            .env
            .iter()
            .flatten()
            .any(|(known, _)| known == name);
        fixed || slots.any(|slot| slot.env.as_deref() == Some(name))
    }

    /// Checks that an image started by [`Self::image`] can be reached.
    ///
    /// # Errors
    /// An error if it uses HTTP and would run through Docker, which would have to be asked for its port.
    pub(crate) fn image_speaks(&self) -> Result<(), String> {
        if self.entry.transport == Some(TransportEntry::Http) && !self.containers {
            return Err("an image that serves HTTP needs `--backend kubernetes`".to_owned());
        }
        Ok(())
    }

    /// Adds a notice about the keys that were not used.
    pub(crate) fn unused<T>(&mut self, keys: &BTreeMap<String, T>) {
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
            self.notice(format!("ignored: {}", names.join(", ")));
        }
    }
}

/// Wraps texts unchanged.
pub(crate) fn typed(list: impl IntoIterator<Item = String>) -> Vec<Typed> {
    list.into_iter().map(Typed).collect()
}

/// Wraps texts, escaping everything that would be read as a variable.
pub(crate) fn literal(list: &[String]) -> Vec<Typed> {
    typed(list.iter().map(|text| escaped(text)))
}

/// Deserializes a boolean that is written as a string.
///
/// # Errors
/// An error for any other string.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(serde::de::Error::custom("expected true or false")),
    }
}

/// Deserializes a port number that is written as a string.
///
/// # Errors
/// An error if it is not a port number.
pub(crate) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let port = text.parse::<u16>();
    port.map(|port| (port > 0).then_some(port))
        .map_err(|_| serde::de::Error::custom("expected a port"))
}
