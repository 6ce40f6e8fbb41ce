//! Imports servers from catalogs and descriptions of installable servers.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::risk::{self, Origin};
use super::{ImportOptions, Imported, ImportedVariable, docker, registry, resources, toolhive};
use crate::config::foreign;
use crate::config::import::builder::Made;
use crate::config::source::diagnostics::{KeyPath, Problems, Report};
use crate::config::source::node::Node;
use crate::id::{ServerId, to_dns_label};

/// An installable server.
pub(super) struct Offer {
    /// Its name in the document.
    pub(super) name: String,
    /// Its default name here.
    pub(super) label: String,
    pub(super) kind: Kind,
    /// Its description; every scalar in it is a string.
    pub(super) said: Value,
}

/// The kind of document that describes the server.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Registry,
    DockerCatalog,
    DockerServer,
    ToolHiveImage,
    ToolHiveRemote,
    Resource,
}

impl Offer {
    pub(super) fn new(name: &str, kind: Kind, said: &Node) -> Self {
        let plain = name.trim_start_matches('/');
        Self {
            name: name.to_owned(),
            label: to_dns_label(plain).unwrap_or_else(|| foreign::label(name)),
            kind,
            said: said.to_json(),
        }
    }

    fn make(self, made: &mut Made) -> Result<(), String> {
        match self.kind {
            Kind::Registry => registry::make(self.said, made),
            Kind::DockerCatalog => docker::from_catalog(self.said, made),
            Kind::DockerServer => docker::from_server(self.said, made),
            Kind::ToolHiveImage => toolhive::image(self.said, made),
            Kind::ToolHiveRemote => toolhive::remote(self.said, made),
            Kind::Resource => resources::make(self.said, made),
        }
    }
}

/// Imports the servers that the documents offer.
///
/// # Errors
/// The problems, if none of the servers can run here.
pub(super) fn imported(
    file: &Arc<Path>,
    trees: &[Node],
    options: &ImportOptions,
) -> Result<Imported, Problems> {
    let mut report = Report::default();
    let path = KeyPath::default();
    let mut offers: Vec<Offer> = trees.iter().flat_map(offers).collect();
    offers.retain(|offer| options.wants(&[&offer.name, &offer.label]));
    let alone = offers.len() == 1;
    if offers.is_empty() {
        report.problem(file, None, &path, "it offers no server of such a name");
    }
    super::named_once(file, &mut report, options, offers.len());
    let mut imported = Imported::default();
    for offer in offers {
        let name = offer.name.clone();
        let id = match options.name.clone().filter(|_| alone) {
            Some(name) => Ok(name),
            None => ServerId::new(&offer.label).map_err(|error| error.to_string()),
        };
        let made = id.and_then(|id| {
            let twice = imported.servers.iter().any(|(known, _)| *known == id);
            if twice {
                return Err(format!("another server is called {id} here already: import it alone, under another name"));
            }
            let mut made = Made::new(id, options.containers);
            offer.make(&mut made)?;
            Ok(made)
        });
        match made {
            Ok(made) => take(made, file, &mut report, &mut imported),
            Err(why) if alone => report.problem(file, None, &path, format!("{name:?}: {why}")),
            Err(why) => report.notice(file, None, &path, format!("{name:?} is left out: {why}")),
        }
    }
    if imported.servers.is_empty() && !alone {
        report.problem(file, None, &path, "none of its servers can be run here");
    }
    match report.finish(&[]) {
        Ok(notices) => Ok(Imported {
            notices,
            ..imported
        }),
        Err(problems) => Err(problems),
    }
}

fn take(made: Made, file: &Arc<Path>, report: &mut Report, imported: &mut Imported) {
    let id = made.id;
    for notice in made.notices {
        report.notice(file, None, &KeyPath::default(), format!("{id}: {notice}"));
    }
    for (name, used_by) in made.variables {
        let used_by = format!("{id}.{used_by}");
        let known = imported
            .variables
            .iter_mut()
            .find(|known| known.name == name);
        match known {
            Some(known) => known.used_by.push(used_by),
            None => imported.variables.push(ImportedVariable {
                name,
                used_by: vec![used_by],
                left_behind: false,
                theirs: false,
            }),
        }
    }
    risk::assess(&id, &made.entry, Origin::Catalog, &mut imported.risks);
    imported.servers.push((id, made.entry));
}

/// Returns the servers that a document offers.
fn offers(tree: &Node) -> Vec<Offer> {
    if tree.get("apiVersion").is_some() {
        return resources::offers(tree);
    }
    let registry = registry::offers(tree);
    if !registry.is_empty() {
        return registry;
    }
    let toolhive = toolhive::offers(tree);
    if !toolhive.is_empty() {
        return toolhive;
    }
    docker::offers(tree)
}
