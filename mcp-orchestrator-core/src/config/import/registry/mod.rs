//! Imports a `server.json` of the official registry, in all versions of its schema. Required inputs become slots, which
//! the user who installs the server fills in.
//!
//! The first package or remote that can run here is used. Nothing is passed through a shell, no secret becomes an
//! argument, and no text of the description is read as a variable.

mod identifiers;
mod inputs;
mod package;
mod remote;
mod server_json;

use serde::Deserialize as _;
use serde_json::Value;

pub(super) use self::identifiers::image as is_image;
pub(super) use self::inputs::filled;
pub(super) use self::server_json::Input;
use self::server_json::{Description, Package, Remote};
use super::offer::{InstallableServer, Kind};
use crate::config::import::builder::EntryBuilder;
use crate::config::source::node::{Node, Value as Tree};
use crate::id::to_dns_label;

/// Last parts of names that do not identify the server.
const GENERIC: &[&str] = &["mcp", "mcp-server", "server", "mcpserver", "api", "app"];

/// Returns the servers that a document describes: a single one, the registry's response with one, or a list of either.
pub(super) fn offers(tree: &Node) -> Vec<InstallableServer> {
    let list = ["servers"]
        .iter()
        .find_map(|key| tree.get(key))
        .or_else(|| tree.get("data")?.get("servers"));
    if let Some(Tree::List(items)) = list.map(|list| &list.value) {
        return items.iter().filter_map(one).collect();
    }
    one(tree).into_iter().collect()
}

fn one(node: &Node) -> Option<InstallableServer> {
    let is = |node: &Node| {
        let list = |key: &str| {
            node.get(key)
                .is_some_and(|it| matches!(it.value, Tree::List(_)))
        };
        node.get("name").is_some() && (list("packages") || list("remotes"))
    };
    let node = if is(node) {
        node
    } else {
        node.get("server").filter(|it| is(it))?
    };
    let Tree::Scalar { text: name, .. } = &node.get("name")?.value else {
        return None;
    };
    let mut offer = InstallableServer::new(name, Kind::Registry, node);
    if let Some(label) = label(name) {
        offer.label = label;
    }
    Some(offer)
}

/// Returns the last part of a name, preceded by the owner's part if it is generic.
fn label(name: &str) -> Option<String> {
    let (space, own) = name.rsplit_once('/').unwrap_or(("", name));
    let label = to_dns_label(own)?;
    let owner = space.rsplit('.').next().unwrap_or_default();
    if GENERIC.contains(&label.as_str())
        && let Some(owner) = to_dns_label(owner)
    {
        return to_dns_label(&format!("{owner}-{label}"));
    }
    Some(label)
}

/// Creates an entry from a description.
///
/// # Errors
/// Why the server cannot run here.
pub(super) fn make(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let mut description = Description::deserialize(said).map_err(|error| error.to_string())?;
    let version = description
        .version_detail
        .take()
        .and_then(|detail| detail.version);
    for package in &mut description.packages {
        package.normalize(version.as_deref());
    }
    if let Some(status @ ("deprecated" | "deleted")) = description.status.as_deref() {
        made.notice(format!("the registry marks it as {status}"));
    }
    let ways = ways(&description, made.containers);
    let mut refused = Vec::new();
    let mut taken: Option<&Distribution<'_>> = None;
    for way in &ways {
        let mut tried = EntryBuilder::new(made.id.clone(), made.containers);
        match way.make(&mut tried) {
            Ok(()) => {
                tried.notices.splice(0..0, made.notices.drain(..));
                *made = tried;
                taken = Some(way);
                break;
            }
            Err(why) => refused.push(format!("{}: {why}", way.name())),
        }
    }
    let Some(taken) = taken else {
        return Err(if refused.is_empty() {
            "it has neither packages nor remotes".to_owned()
        } else {
            format!(
                "none of its packages and remotes can be run here ({})",
                refused.join("; ")
            )
        });
    };
    let taken = taken.name();
    let others = ways
        .iter()
        .map(Distribution::name)
        .filter(|name| *name != taken);
    let others: Vec<String> = others
        .filter(|name| !refused.iter().any(|why| why.starts_with(name.as_str())))
        .collect();
    if !others.is_empty() {
        made.notice(format!(
            "{taken} is used; it is also available as {}",
            others.join(", ")
        ));
    }
    for why in refused {
        made.notice(format!("cannot be run: {why}"));
    }
    Ok(())
}

/// A package or remote of a server.
enum Distribution<'d> {
    Package(&'d Package),
    Remote(&'d Remote),
}

impl Distribution<'_> {
    fn make(&self, made: &mut EntryBuilder) -> Result<(), String> {
        match self {
            Self::Package(package) => package.make(made),
            Self::Remote(remote) => remote.make(made),
        }
    }

    fn name(&self) -> String {
        let name = match self {
            Self::Package(package) => format!("{} {}", package.registry_type, package.identifier),
            Self::Remote(remote) => format!("remote {}", remote.url.as_deref().unwrap_or_default()),
        };
        name.chars().filter(|c| !c.is_control()).take(120).collect()
    }
}

/// Returns the packages and remotes, best first: an image if images can run, then a package for a package manager, then
/// a remote server, and last packages that need an additional program.
fn ways(description: &Description, containers: bool) -> Vec<Distribution<'_>> {
    let rank = |way: &Distribution<'_>| match way {
        Distribution::Package(package) => match package.registry_type.as_str() {
            "oci" if containers => 0,
            "npm" | "pypi" => 1,
            "nuget" => 4,
            "oci" => 5,
            _ => 6,
        },
        Distribution::Remote(remote) if remote.r#type == "sse" => 3,
        Distribution::Remote(_) => 2,
    };
    let packages = description.packages.iter().map(Distribution::Package);
    let mut ways: Vec<_> = packages
        .chain(description.remotes.iter().map(Distribution::Remote))
        .collect();
    ways.sort_by_key(rank);
    ways
}
