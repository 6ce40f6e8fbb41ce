use super::super::{Listed, Lists, ToolFilter, shown};
use super::*;
use crate::credential::Revision;

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
    let router = TableRouter::new([
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
    ]);
    let gateways = ["all", "bare", "one", "hers", "pinned"].map(|id| GatewayId::new(id).unwrap());
    let long = "y".repeat(70);
    suite(
        &router,
        Probe {
            principals: &[user("ann"), user("bob")],
            gateways: &gateways,
            items: &[
                (ItemKind::Tool, "log"),
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
