use super::*;

#[test]
fn removing_an_unused_slot_leaves_the_others_in_place() {
    let (slots, credential) = (Slots::default(), Credential::none());
    let scope = Scope::Session("s".into());
    let (common, own) = (
        slots.get(&credential, &Scope::Shared),
        slots.get(&credential, &scope),
    );
    slots.take_unused(&own);
    assert!(slots.find(&credential, &scope).is_none());
    assert!(matches!(own.turn(), Turn::Left));
    let fast = slots.common.load_full().unwrap();
    assert!(Arc::ptr_eq(&fast, &common));
    let next = slots.get(&credential, &scope);
    slots.take_unused(&own);
    assert!(Arc::ptr_eq(
        &next,
        &slots.find(&credential, &scope).unwrap()
    ));
}

#[tokio::test(start_paused = true)]
async fn connection_outages_do_not_count_as_crashes() {
    let slot = Slot::new(&Credential::none(), Scope::Shared);
    let error = |kind| Arc::new(Error::new(kind, "attach was refused with 500"));
    for number in 0..100 {
        let news = slot.ended(Some(error(ErrorKind::Unavailable)));
        assert_eq!(news, number == 0, "the same failure is no news");
        assert!(slot.wait() <= Duration::from_secs(2), "{number}");
    }
    assert_eq!(slot.failures(), 0);
    for _ in 0..10 {
        slot.crashed(error(ErrorKind::StartFailed));
    }
    assert_eq!(slot.wait(), Duration::from_mins(1));
    slot.ended(None);
    slot.ended(Some(error(ErrorKind::Unavailable)));
    assert_eq!(slot.wait(), Duration::ZERO, "each outage begins anew");
}

#[test]
fn starting_slot_is_not_removed() {
    let (slots, credential) = (Slots::default(), Credential::none());
    let scope = Scope::Session("s".into());
    let own = slots.get(&credential, &scope);
    let Turn::Start(_starting, _) = own.turn() else {
        panic!("nobody starts it yet");
    };
    slots.take_unused(&own);
    assert!(Arc::ptr_eq(&own, &slots.find(&credential, &scope).unwrap()));
    own.ended(None);
    slots.take_unused(&own);
    assert!(slots.find(&credential, &scope).is_none());
}

#[tokio::test]
async fn panicked_start_releases_the_slot() {
    let (slots, credential) = (Slots::default(), Credential::none());
    let own = slots.get(&credential, &Scope::Session("s".into()));
    let Turn::Start(starting, _) = own.turn() else {
        panic!("nobody starts it yet");
    };
    assert!(matches!(own.turn(), Turn::Wait(..)));
    drop(starting);
    assert!(!own.is_starting());
    assert!(matches!(own.turn(), Turn::Start(..)));
    assert!(matches!(own.turn(), Turn::Later(..)));
}
