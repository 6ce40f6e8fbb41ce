//! Suggests known names for unknown ones.

use mcp_orchestrator_gateway::control::wire::Status;

use crate::args::Command;
use crate::connection::Site;
use crate::exit::Failure;
use crate::output::clean;
use crate::site_args::SiteArgs;

/// Names on the command line, and the site in which they should be known.
#[derive(Debug)]
pub(crate) struct Typed {
    site: SiteArgs,
    servers: Vec<String>,
    gateways: Vec<String>,
    instances: Vec<String>,
}

impl Typed {
    /// Returns the names of a command that a running gateway may know.
    pub(crate) fn of(command: &Command) -> Option<Self> {
        let server = |site: &SiteArgs, name: &str| Self {
            site: site.clone(),
            servers: vec![name.to_owned()],
            gateways: Vec::new(),
            instances: Vec::new(),
        };
        Some(match command {
            Command::Tools(args) | Command::Prompts(args) | Command::Resources(args) => Self {
                site: args.files.clone(),
                servers: args.server.iter().cloned().collect(),
                gateways: vec![args.gateway.clone()],
                instances: Vec::new(),
            },
            Command::Explain(args) => Self {
                site: args.files.clone(),
                servers: Vec::new(),
                gateways: vec![args.gateway.clone()],
                instances: Vec::new(),
            },
            Command::Call(args) => server(&args.files, &args.server),
            Command::Logs(args) => Self {
                instances: args.instance.iter().cloned().collect(),
                ..server(&args.files, &args.server)
            },
            Command::Describe(args) => Self {
                instances: vec![args.name.clone()],
                ..server(&args.files, &args.name)
            },
            Command::Restart(args) | Command::Stop(args) => server(&args.files, &args.server),
            Command::Install(args) | Command::Rotate(args) => server(&args.files, &args.server),
            Command::Uninstall(args) => server(&args.files, &args.server),
            _ => return None,
        })
    }

    /// Adds suggestions to a failure about an unknown name.
    pub(crate) async fn complete(self, mut failure: Failure) -> Failure {
        if !failure.is_about_a_name {
            return failure;
        }
        let Ok(site) = Site::find(&self.site) else {
            return failure;
        };
        let Ok(Status {
            servers, gateways, ..
        }) = site.client().status().await
        else {
            return failure;
        };
        let gateways: Vec<String> = gateways.into_iter().map(|gateway| gateway.name).collect();
        for (typed, known) in [(&self.servers, &servers), (&self.gateways, &gateways)] {
            for typed in typed.iter().filter(|typed| !known.contains(typed)) {
                let near = nearest(typed, known.iter().map(String::as_str)).is_some();
                let instances = match !near && self.instances.contains(typed) {
                    true => instances(&site).await,
                    false => Vec::new(),
                };
                let instance = nearest(typed, instances.iter().map(String::as_str));
                failure.message.push_str(&match instance {
                    Some(name) => format!("\n  did you mean {}?", clean(name)),
                    None => hint(typed, known.iter().map(String::as_str)),
                });
            }
        }
        let named = self.instances.iter();
        for typed in named.filter(|typed| !self.servers.contains(typed)) {
            let known = instances(&site).await;
            if !known.contains(typed) {
                let hint = hint(typed, known.iter().map(String::as_str));
                failure.message.push_str(&hint);
            }
        }
        failure
    }
}

/// Returns the names of the running instances.
async fn instances(site: &Site) -> Vec<String> {
    let all = site.client().instances().await.unwrap_or_default();
    all.into_iter().filter_map(|one| one.instance).collect()
}

/// Returns a line with the nearest known name, or else with all known names; empty if there are none.
pub(crate) fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<String> = known.into_iter().map(clean).collect();
    match nearest(typed, known.iter().map(String::as_str)) {
        Some(name) => format!("\n  did you mean {name}?"),
        None if known.is_empty() => String::new(),
        None => {
            let more = if known.len() > 20 { ", …" } else { "" };
            let shown = &known[..known.len().min(20)];
            format!("\n  known are: {}{more}", shown.join(", "))
        }
    }
}

/// Returns the known name that is nearest to the typed one, if any is near enough.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let fold = |text: &str| -> String {
        let kept = text.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
        kept.flat_map(char::to_lowercase).take(64).collect()
    };
    let wanted = fold(typed);
    let distances = known.into_iter().map(|name| {
        let name_folded = fold(name);
        let distance = strsim::damerau_levenshtein(&wanted, &name_folded);
        let part = wanted.len() >= 3 && name_folded.contains(&wanted);
        (if part { distance.min(1) } else { distance }, name)
    });
    distances
        .filter(|(distance, name)| *distance <= 1.max(name.len().min(typed.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let known = ["github", "files", "time", "my-notes"];
        for (typed, meant) in [
            ("githb", Some("github")),
            ("tiem", Some("time")),
            ("mynotes", Some("my-notes")),
            ("notes", Some("my-notes")),
            ("postgres", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(hint("githb", known), "\n  did you mean github?");
        assert!(hint("zzz", known).contains("known are: github, files"));
    }
}
