use super::*;
use crate::auth::{People, Team};
use crate::credential::MemoryCredentials;
use crate::id::TeamId;

fn user(name: &str) -> Principal {
    Principal::user(PrincipalId::new(name).unwrap(), "test")
}

fn own(principal: &Principal) -> Owner {
    Owner::User(principal.id.clone())
}

fn server(name: &str) -> ServerId {
    ServerId::new(name).unwrap()
}

struct Site {
    store: Arc<MemoryCredentials>,
    links: Links,
}

impl Site {
    fn new() -> Self {
        let people = People {
            teams: vec![Team {
                id: TeamId::new("ops").unwrap(),
                members: vec![user("bob").id],
                managers: vec![user("mia").id],
            }],
            admins: vec![user("root").id],
        };
        let store = Arc::new(MemoryCredentials::new());
        let kept: Arc<dyn CredentialStore> = Arc::<MemoryCredentials>::clone(&store);
        let links = Links::new(kept, Arc::new(Directory::new(&people)));
        links.serve_at("https://mcp.example");
        Self { store, links }
    }

    async fn offer(&self, who: &Principal, name: &str, owner: &Owner) -> Option<String> {
        let at = (&server(name), owner);
        let offered = self.links.offer(who, at, LinkReason::Missing).await;
        offered.unwrap()
    }

    async fn stored(&self) -> usize {
        self.store.list(RecordKind::Link).await.unwrap().len()
    }
}

fn id_of(address: &str) -> LinkId {
    let id = address.strip_prefix("https://mcp.example/link/").unwrap();
    LinkId::parse(id).unwrap()
}

#[tokio::test]
async fn link_is_found_until_it_is_taken_once() {
    let (site, ann) = (Site::new(), user("ann"));
    let address = site.offer(&ann, "jira", &own(&ann)).await.unwrap();
    let id = id_of(&address);
    let link = site.links.find(&id).await.unwrap().unwrap();
    assert_eq!(link.subject.principal, ann.id);
    assert_eq!(link.subject.owner, own(&ann));
    assert!(link.expires_at <= SystemTime::now() + LINK_LIFETIME);
    let (one, two) = tokio::join!(site.links.take(&id), site.links.take(&id));
    assert!(one.unwrap() != two.unwrap());
    assert_eq!(site.links.find(&id).await.unwrap(), None);
    // The next call gets a new link.
    let next = site.offer(&ann, "jira", &own(&ann)).await.unwrap();
    assert_ne!(next, address);
}

#[tokio::test]
async fn repeated_calls_reuse_one_link() {
    let (site, ann) = (Site::new(), user("ann"));
    let first = site.offer(&ann, "jira", &own(&ann)).await;
    for _ in 0..100 {
        assert_eq!(site.offer(&ann, "jira", &own(&ann)).await, first);
    }
    assert_eq!(site.stored().await, 1);
    // Another server, user or reason gets another link.
    let bob = user("bob");
    let other = site.offer(&ann, "git", &own(&ann)).await;
    assert_ne!(other, first);
    assert_ne!(site.offer(&bob, "jira", &own(&bob)).await, first);
    let at = (&server("jira"), &own(&ann));
    let expired = site.links.offer(&ann, at, LinkReason::Expired).await;
    assert_ne!(expired.unwrap(), first);
}

#[tokio::test]
async fn link_taken_by_another_process_is_not_offered_again() {
    let (site, ann) = (Site::new(), user("ann"));
    let address = site.offer(&ann, "jira", &own(&ann)).await.unwrap();
    let kept: Arc<dyn CredentialStore> = Arc::<MemoryCredentials>::clone(&site.store);
    let other = Links::new(kept, Arc::new(Directory::new(&People::default())));
    assert!(other.take(&id_of(&address)).await.unwrap());
    assert_ne!(site.offer(&ann, "jira", &own(&ann)).await.unwrap(), address);
}

#[tokio::test]
async fn link_is_offered_only_to_principals_allowed_to_install() {
    let site = Site::new();
    let team = Owner::Team(TeamId::new("ops").unwrap());
    let cases = [
        ("bob", &team, false),
        ("mia", &team, true),
        ("root", &team, true),
        ("mia", &Owner::Organization, false),
        ("root", &Owner::Organization, true),
    ];
    for (name, owner, may) in cases {
        let offered = site.offer(&user(name), "jira", owner).await;
        assert_eq!(offered.is_some(), may, "{name} {owner}");
    }
    let speaker = Principal::team(&TeamId::new("ops").unwrap(), "token");
    assert_eq!(site.offer(&speaker, "jira", &team).await, None);
}

#[tokio::test]
async fn no_link_is_offered_without_a_page() {
    let store: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
    let links = Links::new(store, Arc::new(Directory::new(&People::default())));
    let ann = user("ann");
    let at = (&server("jira"), &own(&ann));
    let offered = links.offer(&ann, at, LinkReason::Missing).await.unwrap();
    assert_eq!(offered, None);
}

#[tokio::test]
async fn expired_link_is_not_found() {
    let (site, ann) = (Site::new(), user("ann"));
    let id = LinkId(random_text(BYTES));
    let subject = LinkSubject {
        principal: ann.id.clone(),
        server: server("jira"),
        owner: own(&ann),
    };
    let link = Link {
        subject,
        why: LinkReason::Missing,
        expires_at: SystemTime::now() - Duration::from_secs(1),
    };
    let key = id.key();
    let put = site.store.put(&key, link.to_record(), Precondition::Absent);
    put.await.unwrap();
    assert_eq!(site.links.find(&id).await.unwrap(), None);
    assert!(!site.links.take(&id).await.unwrap());
}

#[test]
fn invalid_link_ids_are_not_parsed() {
    let id = random_text(BYTES);
    assert!(LinkId::parse(&id).is_some());
    let wrong = [&id[1..], "", "../../../../../../../../../../../../../../x"];
    for text in wrong {
        assert!(LinkId::parse(text).is_none(), "{text}");
    }
    assert!(!format!("{:?}", LinkId(id.clone())).contains(&id));
}
