use super::super::{FixedArguments, Listed, Lists, ToolFilter, ToolOverride, ToolOverrides, shown};
use super::*;
use crate::credential::Revision;
use crate::id::{Alias, ServerId};

fn lists() -> Lists {
    let lists = Lists::default();
    let put = |name: &str, listed| {
        let server = ServerId::new(name).unwrap();
        lists.put(&server, &Owner::Organization, &Revision::none(), listed);
    };
    let git = Listed::default()
        .with(ItemKind::Tool, ["log", "secret_x", &"y".repeat(70)])
        .with(ItemKind::Template, ["x://{n}"]);
    put("git", git);
    let time = Listed::default()
        .with(ItemKind::Tool, ["now", "secret_x"])
        .with(ItemKind::Resource, ["x://1"]);
    put("time", time);
    lists
}

fn entry(name: &str) -> ViewEntry {
    let server = ServerId::new(name).unwrap();
    let tools = ToolFilter::Some {
        show: vec![],
        hide: vec!["secret_*".into()],
        only: vec![],
    };
    ViewEntry {
        alias: Alias::from(&server),
        server,
        credential: CredentialRule::None,
        tools,
        overrides: ToolOverrides::default(),
    }
}

fn router(names: ToolNames, servers: &[&str]) -> TableRouter {
    let entries = servers.iter().map(|name| entry(name)).collect();
    TableRouter::new([GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names,
        entries,
    }])
}

fn renamed(renames: &[(&str, &str)]) -> ToolOverrides {
    let changes = renames.iter().map(|(own, name)| {
        let change = ToolOverride {
            name: Some((*name).to_owned()),
            arguments: FixedArguments::default().with("a", &crate::jsonrpc::raw(own)),
            ..ToolOverride::default()
        };
        (*own, change)
    });
    ToolOverrides::new(changes).unwrap()
}

/// Gateways with renamed tools: to new names, to those of other tools, to long names, and in each other's place.
fn changed_gateways() -> Vec<GatewaySpec> {
    let long = "y".repeat(70);
    let (longer, longest) = ("z".repeat(100), "n".repeat(128));
    let mut specs = Vec::new();
    for (names, servers) in [
        (ToolNames::Bare, &["git", "time"][..]),
        (ToolNames::Prefixed, &["git", "time"]),
        (ToolNames::Auto, &["git"]),
        (ToolNames::Auto, &["time"]),
    ] {
        for (at, renames) in [
            &[("log", "history"), ("now", "clock")][..],
            &[("log", "now"), ("now", "log")],
            &[("log", &long), (&long, "log")],
            &[("log", &longer), ("now", &longest), (&long, "short")],
            &[("log", &long), ("now", "secret_x")],
            &[("absent", "log"), ("secret_x", "now")],
        ]
        .iter()
        .enumerate()
        {
            let entries = servers.iter().map(|name| ViewEntry {
                overrides: renamed(renames),
                ..entry(name)
            });
            let id = format!("changed-{}-{at}", specs.len());
            specs.push(GatewaySpec {
                id: GatewayId::new(&id).unwrap(),
                members: Members::Everybody,
                names,
                entries: entries.collect(),
            });
        }
    }
    specs
}

#[cfg(feature = "test-util")]
#[test]
fn table_router_keeps_the_contract() {
    use crate::testing::router::{Probe, suite};
    let user = |name: &str| Principal::user(PrincipalId::new(name).unwrap(), "test");
    let gateway = |id: &str, names, members, servers: &[&str]| GatewaySpec {
        id: GatewayId::new(id).unwrap(),
        members,
        names,
        entries: servers.iter().map(|name| entry(name)).collect(),
    };
    let ann = PrincipalId::new("ann").unwrap();
    let only_ann = Members::These {
        users: vec![ann.clone()],
        teams: Vec::new(),
    };
    let mut pinned = gateway(
        "pinned",
        ToolNames::Prefixed,
        Members::Everybody,
        &["git", "time"],
    );
    pinned.entries[1].credential = CredentialRule::Pinned(Owner::User(ann));
    let others = [
        pinned,
        gateway(
            "all",
            ToolNames::Prefixed,
            Members::Everybody,
            &["git", "time"],
        ),
        gateway(
            "bare",
            ToolNames::Bare,
            Members::Everybody,
            &["git", "time"],
        ),
        gateway("one", ToolNames::Auto, Members::Everybody, &["git"]),
        gateway("hers", ToolNames::Auto, only_ann, &["git", "time"]),
    ];
    let specs: Vec<_> = others.into_iter().chain(changed_gateways()).collect();
    let gateways: Vec<_> = specs.iter().map(|spec| spec.id.clone()).collect();
    let router = TableRouter::new(specs);
    let long = "y".repeat(70);
    suite(
        &router,
        Probe {
            principals: &[user("ann"), user("bob")],
            gateways: &gateways,
            items: &[
                (ItemKind::Tool, "log"),
                (ItemKind::Tool, "history"),
                (ItemKind::Tool, "clock"),
                (ItemKind::Tool, "now"),
                (ItemKind::Tool, "secret_x"),
                (ItemKind::Tool, &long),
                (ItemKind::Resource, "x://1"),
            ],
            known: &lists(),
        },
    );
}

#[cfg(feature = "test-util")]
#[test]
fn lists_uphold_the_contract_of_known_items() {
    let ann = Principal::user(PrincipalId::new("ann").unwrap(), "test");
    let entries = ["git", "time", "absent"].map(entry);
    let long = "y".repeat(70);
    let items = [
        (ItemKind::Tool, "log"),
        (ItemKind::Tool, "now"),
        (ItemKind::Tool, "secret_x"),
        (ItemKind::Tool, long.as_str()),
        (ItemKind::Tool, "absent"),
        (ItemKind::Prompt, "log"),
        (ItemKind::Resource, "x://1"),
        (ItemKind::Resource, "y://1"),
        (ItemKind::Template, "x://{n}"),
    ];
    crate::testing::router::known(&lists(), &ann, &entries, &items);
    let lists = lists();
    let certain = super::super::Certain(&lists);
    crate::testing::router::known(&certain, &ann, &entries, &items);
}

fn routed(router: &TableRouter, item: Item<'_>) -> Option<(String, String)> {
    let principal = Principal::user(PrincipalId::new("ann").unwrap(), "test");
    let gateway = GatewayId::default_gateway();
    let target = Target {
        gateway: &gateway,
        item,
        known: &lists(),
    };
    router
        .route(&principal, &target)
        .ok()
        .map(|route| (route.server.to_string(), route.name.into_owned()))
}

fn to(server: &str, name: &str) -> Option<(String, String)> {
    Some((server.into(), name.into()))
}

#[test]
fn names_are_routed_to_their_servers() {
    let one = router(ToolNames::Auto, &["git"]);
    assert_eq!(routed(&one, Item::Tool("anything")), to("git", "anything"));
    assert_eq!(routed(&one, Item::Tool("secret_x")), None);
    let two = router(ToolNames::Auto, &["git", "time"]);
    assert_eq!(routed(&two, Item::Tool("git__log")), to("git", "log"));
    assert_eq!(routed(&two, Item::Tool("git__secret_x")), None);
    assert_eq!(routed(&two, Item::Tool("log")), None);
    assert_eq!(routed(&two, Item::Prompt("time__a__b")), to("time", "a__b"));
    let long = "y".repeat(70);
    let cut = shown(&Alias::new("git").unwrap(), &long, true).into_owned();
    assert_eq!(routed(&two, Item::Tool(&cut)), to("git", &long));
    let bare = router(ToolNames::Bare, &["git", "time"]);
    assert_eq!(routed(&bare, Item::Tool("now")), to("time", "now"));
    assert_eq!(routed(&bare, Item::Tool("other")), None);
    assert_eq!(routed(&bare, Item::Tool("secret_x")), None);
}

#[test]
fn resource_is_routed_to_the_best_claim() {
    let two = router(ToolNames::Auto, &["git", "time"]);
    assert_eq!(routed(&two, Item::Resource("x://1")), to("time", "x://1"));
    assert_eq!(routed(&two, Item::Resource("x://2")), to("git", "x://2"));
    assert_eq!(routed(&two, Item::Resource("y://2")), None);
    assert_eq!(
        routed(&router(ToolNames::Auto, &["git"]), Item::Resource("x://2")),
        to("git", "x://2")
    );
}

#[test]
fn renamed_tools_are_routed_by_their_new_names_only() {
    let with = |names, servers: &[&str], renames: &[(&str, &str)]| {
        let entries = servers.iter().map(|name| ViewEntry {
            overrides: renamed(renames),
            ..entry(name)
        });
        TableRouter::new([GatewaySpec {
            id: GatewayId::default_gateway(),
            members: Members::Everybody,
            names,
            entries: entries.collect(),
        }])
    };
    let one = with(ToolNames::Auto, &["git"], &[("log", "history")]);
    assert_eq!(routed(&one, Item::Tool("history")), to("git", "log"));
    assert_eq!(routed(&one, Item::Tool("log")), None);
    assert_eq!(routed(&one, Item::Tool("other")), to("git", "other"));
    assert_eq!(routed(&one, Item::Prompt("log")), to("git", "log"));
    assert_eq!(routed(&one, Item::Prompt("history")), to("git", "history"));
    let two = with(ToolNames::Prefixed, &["git", "time"], &[("log", "history")]);
    assert_eq!(routed(&two, Item::Tool("git__history")), to("git", "log"));
    assert_eq!(routed(&two, Item::Tool("time__history")), to("time", "log"));
    assert_eq!(routed(&two, Item::Tool("git__log")), None);
    assert_eq!(routed(&two, Item::Tool("history")), None);
    // The tool `now` of `git` has the name that `time` shows too; the order decides.
    let bare = with(
        ToolNames::Bare,
        &["time", "git"],
        &[("log", "now"), ("now", "log")],
    );
    assert_eq!(routed(&bare, Item::Tool("now")), to("git", "log"));
    assert_eq!(routed(&bare, Item::Tool("log")), to("time", "now"));
    // A hidden tool stays hidden under another name.
    let hidden = with(ToolNames::Bare, &["time", "git"], &[("secret_x", "x")]);
    assert_eq!(routed(&hidden, Item::Tool("x")), None);
    assert_eq!(routed(&hidden, Item::Tool("secret_x")), None);
}

#[test]
fn own_name_of_a_renamed_tool_is_explained() {
    for (names, servers, name) in [
        (ToolNames::Auto, &["git"][..], "log"),
        (ToolNames::Prefixed, &["git", "time"], "git__log"),
        (ToolNames::Bare, &["git", "time"], "log"),
    ] {
        let entries = servers.iter().map(|name| ViewEntry {
            overrides: renamed(&[("log", "history")]),
            ..entry(name)
        });
        let router = TableRouter::new([GatewaySpec {
            id: GatewayId::default_gateway(),
            members: Members::Everybody,
            names,
            entries: entries.collect(),
        }]);
        let target = Target {
            gateway: &GatewayId::default_gateway(),
            item: Item::Tool(name),
            known: &lists(),
        };
        let principal = Principal::user(PrincipalId::new("ann").unwrap(), "test");
        let Err(NoRoute::Item { why, .. }) = router.route(&principal, &target) else {
            panic!("{name} has a route");
        };
        assert_eq!(
            why,
            r#"tool "log" of git is called "history" on this gateway"#
        );
    }
}
