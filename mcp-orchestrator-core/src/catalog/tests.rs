//! Which lists are cached, and for how long.

use super::*;
use crate::protocol::Era;
use crate::state::MemoryState;
use crate::transport::Hello;

fn kept(tool: &str) -> Kept {
    let mut kept = Kept::new(Hello {
        era: Era::Legacy,
        version: "2025-11-25".to_owned(),
        result: "{}".into(),
    });
    let raw = format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#);
    let item = KeptItem::read(ItemKind::Tool, &raw).unwrap().item;
    kept.set(ItemKind::Tool, vec![item], ListState::Whole);
    for kind in [ItemKind::Prompt, ItemKind::Resource, ItemKind::Template] {
        kept.set(kind, Vec::new(), ListState::Whole);
    }
    kept
}

fn key(owner: &Owner, revision: Revision) -> ListKey {
    ListKey {
        server: ServerId::new("a").unwrap(),
        owner: owner.clone(),
        revision,
    }
}

#[tokio::test]
async fn lists_of_a_superseded_revision_are_removed() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let state_key = Arc::new(StateKey::new([1; 32]));
    let catalog = || Catalog::new(Arc::clone(&store), Arc::clone(&state_key));
    let owner = Owner::Organization;
    let [without, one, two] =
        [Revision::none(), Revision::new("1"), Revision::new("2")].map(|it| key(&owner, it));
    let before = catalog();
    before.keep(&without, kept("w"), None).await;
    before.keep(&one, kept("x"), None).await;
    assert_eq!(store.names().await.unwrap().len(), 3, "two and the index");
    before.supersede(&two.server, &owner, &two.revision);
    before.keep(&two, kept("y"), None).await;
    // An instance of the previous revision finishes its calls, and announces changed lists.
    assert!(!before.keep(&one, kept("z"), None).await.any());
    assert_eq!(store.names().await.unwrap().len(), 3, "no document more");
    assert_eq!(before.peek(&one), None);
    // After a restart.
    let after = catalog();
    assert_eq!(after.get(&one).await, None);
    assert_eq!(after.get(&two).await.as_deref(), Some(&kept("y")));
    after.forget(&two.server, &owner);
    after.forget_stored(&two.server, &owner).await;
    assert_eq!(after.get(&two).await, None);
    assert_eq!(after.get(&without).await.as_deref(), Some(&kept("w")));
    assert_eq!(store.names().await.unwrap().len(), 2);
}

#[tokio::test]
async fn owners_with_identical_lists_share_a_document() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let state_key = Arc::new(StateKey::new([1; 32]));
    let catalog = || Catalog::new(Arc::clone(&store), Arc::clone(&state_key));
    let of = |n: usize| {
        let user = crate::id::PrincipalId::new(format!("u{n}")).unwrap();
        key(&Owner::User(user), Revision::new("1"))
    };
    let before = catalog();
    let keeping = (0..50).map(|n| {
        let before = &before;
        async move { before.keep(&of(n), kept("x"), None).await }
    });
    futures_util::future::join_all(keeping).await;
    assert_eq!(store.names().await.unwrap().len(), 2);
    // The document is removed with its last owner; other documents stay.
    let after = catalog();
    after.keep(&of(0), kept("y"), None).await;
    assert_eq!(store.names().await.unwrap().len(), 3);
    after
        .keep(&of(0), kept("x"), Some(Arc::new(kept("y"))))
        .await;
    assert_eq!(store.names().await.unwrap().len(), 2);
    let last = catalog();
    for n in 0..50 {
        assert_eq!(last.get(&of(n)).await.as_deref(), Some(&kept("x")));
    }
    // A lost document is written again after the lists are fetched.
    let names = store.names().await.unwrap();
    let lost = names.iter().find(|name| name.matches('.').count() == 2);
    store.remove(lost.unwrap()).await.unwrap();
    let later = catalog();
    assert_eq!(later.get(&of(1)).await, None);
    later.keep(&of(1), kept("x"), None).await;
    assert_eq!(catalog().get(&of(2)).await.as_deref(), Some(&kept("x")));
}

#[tokio::test]
async fn lists_are_kept_again_when_an_owner_returns_to_a_revision() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let catalog = Catalog::new(store, Arc::new(StateKey::new([1; 32])));
    let owner = Owner::Organization;
    let [one, two] = ["1", "2"].map(|it| key(&owner, Revision::new(it)));
    catalog.keep(&one, kept("x"), None).await;
    for now in [&two, &one] {
        catalog.supersede(&now.server, &owner, &now.revision);
        catalog.keep(now, kept("y"), None).await;
    }
    assert_eq!(catalog.get(&one).await.as_deref(), Some(&kept("y")));
}

#[tokio::test]
async fn awaited_list_counts_as_unknown() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let catalog = Catalog::new(store, Arc::new(StateKey::new([1; 32])));
    let key = key(&Owner::Organization, Revision::none());
    let mut half = kept("t");
    half.set(ItemKind::Prompt, Vec::new(), ListState::Awaited);
    catalog.publish(&key, &half);
    let ann = Principal::user(crate::id::PrincipalId::new("ann").unwrap(), "test");
    let entry = ViewEntry {
        alias: crate::id::Alias::from(&key.server),
        server: key.server.clone(),
        credential: crate::credential::CredentialRule::None,
        tools: crate::router::ToolFilter::All,
        overrides: crate::router::ToolOverrides::default(),
    };
    assert!(catalog.knows(&ann, &entry, &[ItemKind::Tool]));
    assert!(!catalog.knows(&ann, &entry, &[ItemKind::Tool, ItemKind::Prompt]));
    catalog.retract(&key);
    assert_eq!(catalog.peek(&key), None);
    assert!(!catalog.knows(&ann, &entry, &[ItemKind::Tool]));
    // Stored lists are kept.
    catalog.keep(&key, kept("t"), None).await;
    catalog.retract(&key);
    assert_eq!(catalog.get(&key).await.as_deref(), Some(&kept("t")));
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn cached_lists_uphold_the_contract_of_known_items() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let catalog = Catalog::new(store, Arc::new(StateKey::new([1; 32])));
    let key = key(&Owner::Organization, Revision::none());
    let long = "t".repeat(80);
    catalog.keep(&key, kept(&long), None).await;
    let ann = Principal::user(crate::id::PrincipalId::new("ann").unwrap(), "test");
    let entry = ViewEntry {
        alias: crate::id::Alias::from(&key.server),
        server: key.server.clone(),
        credential: crate::credential::CredentialRule::None,
        tools: crate::router::ToolFilter::All,
        overrides: crate::router::ToolOverrides::default(),
    };
    let items = [
        (ItemKind::Tool, long.as_str()),
        (ItemKind::Tool, "absent"),
        (ItemKind::Resource, "x://1"),
    ];
    crate::testing::router::known(&catalog, &ann, &[entry], &items);
}

#[tokio::test]
async fn total_size_of_the_lists_of_a_server_is_bounded() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let catalog = Catalog::new(store, Arc::new(StateKey::new([1; 32])));
    let large = |n: usize| {
        let mut large = kept("t");
        let pad = format!("{n}{}", "x".repeat(800 * 1024));
        let raw =
            |at| format!(r#"{{"name":"{at}","inputSchema":{{"type":"object"}},"x":"{pad}"}}"#);
        let item = |at| KeptItem::read(ItemKind::Tool, &raw(at)).unwrap().item;
        large.set(
            ItemKind::Tool,
            (0..12).map(item).collect(),
            ListState::Whole,
        );
        large
    };
    let of = |n: usize| {
        let user = crate::id::PrincipalId::new(format!("u{n}")).unwrap();
        key(&Owner::User(user), Revision::new("1"))
    };
    for n in 0..14 {
        catalog.keep(&of(n), large(n), None).await;
    }
    let all = catalog.kept.read().len();
    assert!((2..14).contains(&all), "{all}");
    assert!(
        catalog.get(&of(0)).await.is_some(),
        "the state still has it"
    );
    // Owners with equal lists share one copy.
    let (before, shared) = (catalog.kept.read().len(), large(99));
    for n in 14..18 {
        catalog.keep(&of(n), shared.clone(), None).await;
    }
    let all = catalog.kept.read();
    let copies: HashSet<_> = (14..18).map(|n| Arc::as_ptr(&all[&of(n)].kept)).collect();
    assert_eq!(copies.len(), 1);
    assert!(all.len() >= before);
}
