//! Imports servers from catalogs and descriptions of installable servers.

use std::path::Path;
use std::sync::Arc;

use super::imported::{Imported, ImportedVariable};
use super::offer::{InstallableServer, Kind};
use super::options::ImportOptions;
use super::risk::{self, Origin};
use super::{docker, registry, resources, toolhive};
use crate::config::import::builder::EntryBuilder;
use crate::config::source::diagnostics::{KeyPath, Problems, Report};
use crate::config::source::node::Node;
use crate::id::ServerId;

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
    let mut offers: Vec<InstallableServer> = trees.iter().flat_map(offers).collect();
    offers.retain(|offer| options.wants(&[&offer.name, &offer.label]));
    let alone = offers.len() == 1;
    if offers.is_empty() {
        report.problem(file, None, &path, "it has no server with this name");
    }
    options.check_name(file, &mut report, offers.len());
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
                return Err(format!("another server is already named {id}; import this one alone with --server and --name"));
            }
            let mut made = EntryBuilder::new(id, options.containers);
            convert(offer, &mut made)?;
            made.verify()?;
            Ok(made)
        });
        match made {
            Ok(made) => take(made, file, &mut report, &mut imported),
            Err(why) if alone => report.problem(file, None, &path, format!("{name:?}: {why}")),
            Err(why) => report.notice(file, None, &path, format!("{name:?} is left out: {why}")),
        }
    }
    if imported.servers.is_empty() && !alone {
        report.problem(file, None, &path, "none of its servers can be run");
    }
    match report.finish(&[]) {
        Ok(notices) => Ok(Imported {
            notices,
            ..imported
        }),
        Err(problems) => Err(problems),
    }
}

fn take(made: EntryBuilder, file: &Arc<Path>, report: &mut Report, imported: &mut Imported) {
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

/// Converts an offer to an entry.
///
/// # Errors
/// Why the server cannot run here.
fn convert(offer: InstallableServer, made: &mut EntryBuilder) -> Result<(), String> {
    match offer.kind {
        Kind::Registry => registry::make(offer.said, made),
        Kind::DockerCatalog => docker::from_catalog(offer.said, made),
        Kind::DockerServer => docker::from_server(offer.said, made),
        Kind::ToolHiveImage => toolhive::image(offer.said, made),
        Kind::ToolHiveRemote => toolhive::remote(offer.said, made),
        Kind::Resource => resources::make(offer.said, made),
    }
}

/// Returns the servers that a document offers.
fn offers(tree: &Node) -> Vec<InstallableServer> {
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
