//! The rights that the orchestrator needs, and a check that it has them. The table is also the source of the Role.

use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;

use super::access::Access;
use super::errors::{AccessError, Action};
use super::rejection::Right;
use super::rejection::is_absent;
use crate::error::Result;

/// Maximum number of concurrent access reviews.
const MAX_CONCURRENT_REVIEWS: usize = 8;

/// What may be done with one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, as a Role names it.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// Which orchestrators need the rule.
    pub place: Place,
    /// Whether the orchestrator needs the rule to work at all.
    pub needed: bool,
}

/// Which orchestrators need a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All orchestrators.
    Everywhere,
    /// Orchestrators in the cluster, which keep their state there.
    Inside,
    /// Orchestrators outside the cluster, which reach pods through the API server.
    Outside,
}

const fn rule(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Rule {
    Rule {
        group,
        resource,
        verbs,
        place: Place::Everywhere,
        needed: true,
    }
}

/// All rights that are used, and no others. The Role of the deployment equals this table.
pub const RULES: &[Rule] = &[
    rule(
        "apps",
        "deployments",
        &["list", "watch", "create", "patch", "delete"],
    ),
    rule("", "pods", &["list", "watch", "delete"]),
    rule("", "pods/log", &["get"]),
    rule("", "pods/attach", &["get", "create"]),
    rule("", "events", &["list", "watch"]),
    rule(
        "",
        "secrets",
        &["list", "watch", "create", "patch", "delete"],
    ),
    rule("", "configmaps", &["get", "create"]),
    rule("", "services", &["list", "create", "patch", "delete"]),
    rule(
        "networking.k8s.io",
        "networkpolicies",
        &["list", "watch", "create", "patch", "delete"],
    ),
    rule(
        "coordination.k8s.io",
        "leases",
        &["get", "create", "update"],
    ),
    // Events about instances, for operators; attached to Deployments.
    Rule {
        needed: false,
        ..rule("events.k8s.io", "events", &["create"])
    },
    // Stored credentials, the state key and cached lists. Outside the cluster they are in the state directory.
    Rule {
        place: Place::Inside,
        ..rule("", "secrets", &["get"])
    },
    Rule {
        place: Place::Inside,
        ..rule("", "configmaps", &["patch"])
    },
    Rule {
        place: Place::Outside,
        ..rule("", "pods/portforward", &["get", "create"])
    },
];

/// Returns the rules that an orchestrator inside or outside the cluster needs.
pub fn rules(inside: bool) -> impl Iterator<Item = &'static Rule> {
    let needed = move |rule: &&Rule| match rule.place {
        Place::Everywhere => true,
        Place::Inside => inside,
        Place::Outside => !inside,
    };
    RULES.iter().filter(needed)
}

/// Returns the Role with all rules that an orchestrator inside or outside the cluster needs.
pub fn role(name: &str, namespace: &str, inside: bool) -> Role {
    let owned = |text: &&'static str| (*text).to_owned();
    let rules = rules(inside).map(|rule| PolicyRule {
        api_groups: Some(vec![rule.group.to_owned()]),
        resources: Some(vec![rule.resource.to_owned()]),
        verbs: rule.verbs.iter().map(owned).collect(),
        ..PolicyRule::default()
    });
    Role {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        rules: Some(rules.collect()),
    }
}

/// A missing right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// The verb.
    pub verb: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The API group of the resource.
    pub group: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The reason that the cluster gives, if any.
    pub reason: Option<String>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = Action::new(self.verb, self.resource, &self.namespace)
            .of(self.group)
            .rule();
        write!(
            f,
            "may not {} {} in namespace {}: the Role needs the rule {rule}",
            self.verb, self.resource, self.namespace
        )?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// Reviews every required right and returns the missing ones. Changes nothing in the cluster.
///
/// # Errors
/// If the cluster cannot be asked; [`Config`](crate::ErrorKind::Config) if the namespace does not exist.
pub async fn review(access: &Access) -> Result<Vec<Denied>> {
    let needed: Vec<(&Rule, &'static str)> = rules(access.is_inside())
        .filter(|rule| rule.needed)
        .flat_map(|rule| rule.verbs.iter().map(move |verb| (rule, *verb)))
        .collect();
    let asked = futures_util::stream::iter(needed)
        .map(|(rule, verb)| review_right(access, (verb, rule.group, rule.resource)))
        .buffered(MAX_CONCURRENT_REVIEWS);
    let answers: Vec<Option<Denied>> = asked.try_collect().await?;
    let denied: Vec<Denied> = answers.into_iter().flatten().collect();
    let creates = |one: &Denied| one.verb == "create" && one.resource == "configmaps";
    if !denied.iter().any(creates) {
        namespace_exists(access).await?;
    }
    Ok(denied)
}

/// Reviews one right in this namespace; returns `None` if it is granted.
pub(crate) async fn review_right(access: &Access, right: Right) -> Result<Option<Denied>> {
    let (verb, group, named) = right;
    let (resource, subresource) = match named.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (named, None),
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                namespace: Some(access.namespace().to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(access.client().clone());
    let answer = reviews.create(&PostParams::default(), &question).await;
    let answer = answer.map_err(|error| {
        let action = Action::new("create", "selfsubjectaccessreviews", "");
        action.of("authorization.k8s.io").error(error)
    })?;
    let status = answer.status.unwrap_or_default();
    let denied = Denied {
        verb,
        resource: named,
        group,
        namespace: access.namespace().to_owned(),
        reason: status.reason.filter(|reason| !reason.is_empty()),
    };
    Ok((!status.allowed).then_some(denied))
}

/// Checks that the namespace exists by a dry-run create, because a namespaced Role cannot grant the right to read a
/// namespace.
async fn namespace_exists(access: &Access) -> Result<()> {
    let namespace = access.namespace();
    let maps: Api<ConfigMap> = Api::namespaced(access.client().clone(), namespace);
    let trial = ConfigMap {
        metadata: ObjectMeta {
            generate_name: Some("mcp-orchestrator-check-".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match maps.create(&dry, &trial).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => {
            Err(AccessError::NoNamespace(namespace.to_owned()).into())
        }
        Err(error) => Err(Action::new("create", "configmaps", namespace).error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_permission_names_the_rule_that_grants_it() {
        let denied = Denied {
            verb: "patch",
            resource: "deployments",
            group: "apps",
            namespace: "team".to_owned(),
            reason: None,
        };
        assert_eq!(
            denied.to_string(),
            "may not patch deployments in namespace team: the Role needs the rule \
             {apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [\"patch\"]}"
        );
    }

    #[test]
    fn chart_grants_exactly_the_rules_of_the_table() {
        let mut wanted = String::from("\nrules:\n");
        for rule in rules(true) {
            let Rule {
                group, resource, ..
            } = rule;
            let verbs = rule.verbs.join("\", \"");
            wanted.push_str(&format!(
                "  - apiGroups: [\"{group}\"]\n    resources: [\"{resource}\"]\n    verbs: [\"{verbs}\"]\n"
            ));
        }
        wanted.push_str("---\n");
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        for file in [
            "chart/mcp-orchestrator/templates/role.yaml",
            "manifests/mcp-orchestrator.yaml",
        ] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(
                text.contains(&wanted),
                "deploy/{file} needs these rules:{wanted}"
            );
        }
    }

    #[test]
    fn role_matches_the_table_without_duplicates() {
        let role = role("x", "y", true);
        let rules = role.rules.unwrap();
        assert_eq!(rules.len(), RULES.len() - 1);
        let rights = RULES.iter().flat_map(|one| {
            let right = move |verb: &&'static str| (one.group, one.resource, *verb);
            one.verbs.iter().map(right)
        });
        let mut named: Vec<_> = rights.collect();
        let all = named.len();
        assert!(all > RULES.len() && named.iter().all(|(.., verb)| *verb != "*"));
        named.sort_unstable();
        named.dedup();
        assert_eq!(named.len(), all);
    }
}
