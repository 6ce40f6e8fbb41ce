//! Tests of the table of subscriptions.

use super::*;

fn source(server: &str) -> Source {
    let server = ServerId::new(server).unwrap();
    Source::new(&server, &Credential::none(), Scope::Shared)
}

fn resource(server: &str, uri: &str) -> Resource {
    (source(server), uri.into())
}

fn who(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

fn is_empty(subscriptions: &Subscriptions) -> bool {
    let table = subscriptions.table.lock();
    let no_party = table.parties.is_empty() && table.principals.is_empty();
    table.sources.is_empty() && no_party && table.all == 0
}

#[test]
fn subscriptions_of_a_principal_are_limited_over_all_streams() {
    let subscriptions = Subscriptions::default();
    let (ann, bob) = (who("ann"), who("bob"));
    let add = |uri: &str, party, who: &PrincipalId| {
        subscriptions.add(&resource("a", uri), party, Via::Engine, who)
    };
    for n in 0..MAX_SUBSCRIPTIONS_PER_PRINCIPAL {
        let party = 1 + n as u64 % 3;
        add(&format!("x://{n}"), party, &ann).unwrap();
    }
    let over = add("x://over", 4, &ann);
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Overloaded);
    // Adding an existing subscription counts once, and other principals are not affected.
    add("x://0", 1, &ann).unwrap();
    add("x://0", 9, &bob).unwrap();
    // A parked subscription counts, and one that is removed does not.
    subscriptions.moves(1, &resource("a", "x://0"), None);
    add("x://over", 4, &ann).unwrap_err();
    subscriptions.remove(&resource("a", "x://1"), 2);
    add("x://over", 4, &ann).unwrap();
    for party in [1, 2, 3, 4, 9] {
        subscriptions.leave(party);
    }
    assert!(is_empty(&subscriptions));
}

#[test]
fn leaving_removes_all_subscriptions_of_a_party() {
    let subscriptions = Subscriptions::default();
    let (ann, bob) = (who("ann"), who("bob"));
    for (uri, party, who) in [("x://1", 1, &ann), ("x://1", 2, &bob), ("x://2", 1, &ann)] {
        let resource = resource("a", uri);
        subscriptions
            .add(&resource, party, Via::Engine, who)
            .unwrap();
    }
    let own = resource("b", "x://1");
    subscriptions.add(&own, 1, Via::Own, &ann).unwrap();
    assert!(subscriptions.parties(&own.0, "x://1").is_empty());
    let removed = subscriptions.remove_uri(1, "x://1", None).unwrap();
    assert_eq!(removed.len(), 2);
    assert!(subscriptions.remove_uri(1, "x://1", None).is_none());
    assert_eq!(subscriptions.parties(&source("a"), "x://1"), [2]);
    subscriptions.leave(1);
    assert_eq!(subscriptions.shared_at(&source("a")).len(), 1);
    subscriptions.leave(2);
    assert!(is_empty(&subscriptions));
}

#[test]
fn moved_or_parked_subscription_is_not_duplicated() {
    let subscriptions = Subscriptions::default();
    let ann = who("ann");
    let (first, uri): (_, Arc<str>) = (resource("a", "x://1"), "x://1".into());
    subscriptions.add(&first, 1, Via::Engine, &ann).unwrap();
    subscriptions.moves(1, &first, Some(source("b")));
    assert_eq!(subscriptions.parties(&source("b"), "x://1"), [1]);
    assert!(!subscriptions.has(&first, 1));
    subscriptions.moves(1, &resource("b", "x://1"), None);
    assert_eq!(subscriptions.parked(1), [Arc::clone(&uri)]);
    // What was removed in the meantime is not moved or resumed.
    subscriptions.moves(1, &first, Some(source("c")));
    subscriptions.resume(2, &uri, source("c"));
    assert!(subscriptions.parties(&source("c"), "x://1").is_empty());
    subscriptions.resume(1, &uri, source("a"));
    assert!(subscriptions.has(&first, 1));
    // Two instances may turn out to be the same one.
    subscriptions
        .add(&resource("b", "x://1"), 1, Via::Engine, &ann)
        .unwrap();
    subscriptions.moves(1, &resource("b", "x://1"), Some(source("a")));
    subscriptions.leave(1);
    assert!(is_empty(&subscriptions));
}
