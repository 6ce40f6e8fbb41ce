//! Which list applies to a principal, and which names conflict.

use super::*;
use crate::credential::CredentialRule;
use crate::id::Alias;
use crate::id::PrincipalId;
use crate::id::TeamId;
use crate::router::{ToolFilter, ToolOverrides, View};

fn server(name: &str) -> ServerId {
    ServerId::new(name).unwrap()
}

fn user(name: &str) -> Principal {
    Principal::user(PrincipalId::new(name).unwrap(), "test")
}

fn of_user(name: &str) -> Owner {
    Owner::User(PrincipalId::new(name).unwrap())
}

fn entry(name: &str, credential: CredentialRule) -> ViewEntry {
    ViewEntry {
        alias: Alias::new(name).unwrap(),
        server: server(name),
        credential,
        tools: ToolFilter::All,
        overrides: ToolOverrides::default(),
    }
}

fn tools(names: &[&str]) -> Listed {
    Listed::default().with(ItemKind::Tool, names.iter().copied())
}

/// Returns the servers that list a tool to this principal under this rule.
fn holders(lists: &Lists, principal: &Principal, rule: &CredentialRule, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    lists.holders(principal, ItemKind::Tool, name, &mut |server, lists| {
        if lists(rule) {
            found.push(server.to_string());
        }
    });
    found
}

#[test]
fn list_of_a_principal_applies_to_no_other() {
    let lists = Lists::default();
    let revision = Revision::new("1");
    let put = |name, owner: &Owner, listed| lists.put(&server(name), owner, &revision, listed);
    put("git", &of_user("ann"), tools(&["log", "push"]));
    put("git", &of_user("bob"), tools(&["log"]));
    let resolve = CredentialRule::Resolve;
    assert_eq!(holders(&lists, &user("ann"), &resolve, "push"), ["git"]);
    assert!(holders(&lists, &user("bob"), &resolve, "push").is_empty());
    assert!(holders(&lists, &user("eve"), &resolve, "log").is_empty());
    // The organization's list applies only to principals that have no list themselves.
    put("git", &Owner::Organization, tools(&["push", "admin"]));
    assert_eq!(holders(&lists, &user("eve"), &resolve, "admin"), ["git"]);
    assert!(holders(&lists, &user("bob"), &resolve, "push").is_empty());
    let pinned = CredentialRule::Pinned(Owner::Organization);
    assert_eq!(holders(&lists, &user("bob"), &pinned, "admin"), ["git"]);
    assert!(holders(&lists, &user("bob"), &CredentialRule::None, "admin").is_empty());
}

#[test]
fn first_team_with_a_list_wins() {
    let lists = Lists::default();
    let team = |name: &str| TeamId::new(name).unwrap();
    let put = |name: &str, listed| {
        let owner = Owner::Team(team(name));
        lists.put(&server("jira"), &owner, &Revision::new("1"), listed);
    };
    put("ops", tools(&["restart"]));
    put("dev", tools(&["deploy"]));
    let mut ann = user("ann");
    ann.teams = vec![team("none"), team("dev"), team("ops")];
    assert_eq!(
        holders(&lists, &ann, &CredentialRule::Resolve, "deploy"),
        ["jira"]
    );
    assert!(holders(&lists, &ann, &CredentialRule::Resolve, "restart").is_empty());
    let token = Principal::team(&team("ops"), "test");
    assert_eq!(
        holders(&lists, &token, &CredentialRule::Resolve, "restart"),
        ["jira"]
    );
}

#[test]
fn the_index_follows_every_change() {
    let lists = Lists::default();
    let (none, ann) = (Revision::none(), user("ann"));
    let put = |name, listed| lists.put(&server(name), &Owner::Organization, &none, listed);
    let found = |name| holders(&lists, &ann, &CredentialRule::None, name);
    put("a", tools(&["x", "y"]));
    put("b", tools(&["y"]));
    put("c", tools(&["y"]));
    assert_eq!(found("y"), ["a", "b", "c"]);
    put("b", tools(&["z"]));
    assert_eq!(found("y"), ["a", "c"]);
    assert_eq!(found("z"), ["b"]);
    put("a", tools(&[]));
    assert_eq!(found("y"), ["c"]);
    assert!(found("x").is_empty());
    put("c", tools(&[]));
    assert!(found("y").is_empty());
}

#[test]
fn new_revision_replaces_the_old_one() {
    let lists = Lists::default();
    let (one, two) = (Revision::new("1"), Revision::new("2"));
    let put = |revision, listed| lists.put(&server("git"), &of_user("ann"), revision, listed);
    put(&one, tools(&["log"]));
    assert!(lists.is_current(&server("git"), &of_user("ann"), &one));
    put(&two, tools(&["push"]));
    assert!(!lists.is_current(&server("git"), &of_user("ann"), &one));
    assert!(holders(&lists, &user("ann"), &CredentialRule::Resolve, "log").is_empty());
}

#[test]
fn conflicts_are_per_principal_and_among_visible_items() {
    let lists = Lists::default();
    let put = |name, owner: &Owner, revision: &Revision, listed| {
        lists.put(&server(name), owner, revision, listed);
    };
    let (none, one) = (Revision::none(), Revision::new("1"));
    let time = tools(&["now", "log", "zone"]).with(ItemKind::Resource, ["x://1"]);
    put("time", &Owner::Organization, &none, time);
    let git = tools(&["log", "push"]).with(ItemKind::Resource, ["x://1"]);
    put("git", &of_user("ann"), &one, git);
    put("git", &of_user("bob"), &one, tools(&["now"]));
    let hidden = ToolFilter::Some {
        show: vec![],
        hide: vec!["now".into()],
        only: vec![],
    };
    let mut view = View {
        entries: vec![
            entry("git", CredentialRule::Resolve),
            ViewEntry {
                tools: hidden,
                ..entry("time", CredentialRule::None)
            },
        ],
        prefixed: false,
    };
    let named = |principal: &str, view: &View| -> Vec<(ItemKind, String, usize)> {
        let found = lists.conflicts(&user(principal), view).into_iter();
        found
            .map(|one| (one.kind, one.name, one.servers.len()))
            .collect()
    };
    let tool = (ItemKind::Tool, "log".to_owned(), 2);
    let resource = (ItemKind::Resource, "x://1".to_owned(), 2);
    assert_eq!(named("ann", &view), [tool, resource.clone()]);
    assert!(named("bob", &view).is_empty());
    view.prefixed = true;
    assert_eq!(named("ann", &view), [resource]);
}
