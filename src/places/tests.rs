use super::*;

fn creates(namespace: &str) -> Caller {
    Caller {
        namespace: namespace.into(),
        kind: 1,
    }
}

fn reads(namespace: &str) -> Caller {
    Caller {
        namespace: namespace.into(),
        kind: 0,
    }
}

/// As many as it gets.
fn fill(places: &mut Places<&'static str>, caller: &Caller) -> u32 {
    let mut held = 0;
    while places.take(caller) {
        held += 1;
    }
    held
}

fn make_slow(places: &mut Places<&'static str>, caller: &Caller) {
    for _ in 0..SLOW_AFTER {
        assert!(places.take(caller));
        places.give_back(caller, Outcome::Hung);
    }
}

#[test]
fn busy_namespaces_leave_places_for_the_next_one() {
    let mut places = Places::new(160);
    let held: Vec<u32> = (0..10)
        .map(|number| fill(&mut places, &creates(&number.to_string())))
        .collect();
    assert_eq!(held, [32, 25, 20, 16, 13, 11, 8, 7, 5, 4]);
    assert!(places.take(&creates("next")));
}

#[test]
fn the_first_place_of_a_namespace_needs_no_share() {
    let mut places: Places<&str> = Places::new(2);
    assert!(places.take(&creates("a")));
    assert!(!places.take(&creates("a")), "a quarter of one is none");
    assert!(places.take(&creates("b")));
    assert!(!places.take(&creates("c")), "none is free");
}

#[test]
fn a_namespace_that_hangs_gets_one_place_until_it_is_answered() {
    let mut places = Places::new(160);
    let slow = creates("slow");
    make_slow(&mut places, &slow);
    assert_eq!(fill(&mut places, &slow), 1);
    // A read that is answered says nothing about creates.
    assert!(places.take(&reads("slow")));
    places.give_back(&reads("slow"), Outcome::Answered);
    assert!(!places.take(&slow));
    places.give_back(&slow, Outcome::Nothing);
    assert_eq!(fill(&mut places, &slow), 1);
    places.give_back(&slow, Outcome::Answered);
    assert_eq!(fill(&mut places, &slow), 32);
}

#[test]
fn all_that_hang_hold_at_most_half() {
    let mut places = Places::new(40);
    let slow: Vec<Caller> = (0..100).map(|it| creates(&it.to_string())).collect();
    for caller in &slow {
        make_slow(&mut places, caller);
    }
    let held: u32 = slow.iter().map(|caller| fill(&mut places, caller)).sum();
    assert_eq!(held, 20);
    assert_eq!(fill(&mut places, &creates("well")), 4);
    // What they held before they became slow counts too.
    for caller in &slow[..20] {
        places.give_back(caller, Outcome::Answered);
    }
    assert_eq!(places.slow, 0);
}

#[test]
fn those_who_wait_are_served_namespace_by_namespace() {
    let mut places = Places::new(1);
    assert!(places.take(&creates("a")));
    for waiter in ["a1", "a2", "a3"] {
        places.wait(&creates("a"), waiter);
    }
    places.wait(&creates("b"), "b1");
    let left = places.wait(&creates("c"), "c1");
    places.leave(&creates("c"), left);
    assert_eq!(places.next(), None);
    let mut holder = "a";
    let mut served = Vec::new();
    for _ in 0..4 {
        places.give_back(&creates(holder), Outcome::Answered);
        let waiter = places.next().expect("somebody waits");
        assert_eq!(places.next(), None);
        holder = &waiter[..1];
        served.push(waiter);
    }
    assert_eq!(served, ["a1", "b1", "a2", "a3"]);
    places.give_back(&creates("a"), Outcome::Answered);
    assert!(places.namespaces.is_empty() && places.turns.is_empty());
}

#[test]
fn a_slow_create_that_waits_holds_up_no_read() {
    let mut places = Places::new(160);
    make_slow(&mut places, &creates("slow"));
    assert!(places.take(&creates("slow")));
    places.wait(&creates("slow"), "create");
    assert!(places.take(&reads("slow")));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut places = Places::new(160);
    for number in 0..2 * MOST_REMEMBERED {
        make_slow(&mut places, &creates(&number.to_string()));
    }
    assert!(places.namespaces.len() <= MOST_REMEMBERED);
    assert_eq!((places.free, places.slow), (160, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_leaves_no_trace() {
    let room = Room::new(1);
    let place = room.place(creates("a")).await;
    for _ in 0..10 {
        let waiting = room.place(creates("b"));
        let waited = tokio::time::timeout(Duration::from_secs(1), waiting).await;
        assert!(waited.is_err());
    }
    assert!(room.lock().turns.is_empty());
    {
        // A place that is given while its waiter goes comes back.
        let mut waiting = Box::pin(room.place(creates("b")));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(place);
        assert_eq!(room.lock().free, 0);
    }
    assert_eq!(room.lock().free, 1);
    assert!(room.lock().namespaces.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_a_call_without_an_answer_for_long_hangs() {
    let room = Room::new(40);
    let hung = |room: &Room| {
        let places = room.lock();
        places
            .namespaces
            .get("a")
            .map_or(0, |namespace| namespace.kinds[1].hung)
    };
    drop(room.place(creates("a")).await);
    let mut place = room.place(creates("a")).await;
    place.sent();
    drop(place);
    assert_eq!(hung(&room), 0, "not sent, or cut at once");
    for status in [None, Some(504)] {
        let mut place = room.place(creates("a")).await;
        place.sent();
        tokio::time::advance(HANGS_AFTER).await;
        if let Some(status) = status {
            place.answered(status);
        }
    }
    assert_eq!(hung(&room), 2);
    let mut place = room.place(creates("a")).await;
    place.sent();
    tokio::time::advance(HANGS_AFTER).await;
    place.answered(201);
    drop(place);
    assert_eq!(hung(&room), 0);
}
