//! A channel's backlog: what is folded, where it stands then, and how it ends.

use jobrelay::{
    domain::{Ending, Notice},
    store::{Front, FrontQuery},
};

use super::{
    Claim, Duration, Gather, NewAlert, NotificationKind, Overdue, Place, Retry, RollUp, Severity, State, Store, Verdict, alert, at, claim,
    deliveries, each_job, fail, hold, job, jobs_of, page, settle, settlement, shut, sums, trouble,
};

async fn front(store: &dyn Store, channel: &str, second: i64, most: u32) -> Front {
    let depth = store.depth(&channel.into(), 1_000).await.unwrap();
    store.front(FrontQuery { channel: channel.into(), last: depth.last, most, now: at(second) }).await.unwrap()
}

/// Folds the front of a line; how many alerts the roll-up carries.
async fn fold(store: &dyn Store, channel: &str, second: i64, most: u32) -> u64 {
    let Front::Together(found) = front(store, channel, second, most).await else { return 0 };
    let alerts = store.fold(found.messages, at(second)).await.unwrap();
    assert_eq!(alerts, found.roll_up.alerts.len() as u64, "what was shown is what is carried");
    alerts
}

async fn slow(store: &dyn Store, second: i64, id: &str) {
    let job = job(id, State::Failed);
    store.take_in(page(at(second), &job, 1, vec![alert("slow", &job, 1, &["a"])])).await.unwrap();
}

async fn tell(store: &dyn Store, second: i64) {
    let notice = Notice {
        topic: "source contoso down".into(),
        title: "contoso can't be read".into(),
        text: String::new(),
        since: None,
        severity: Severity::Critical,
        over: false,
    };
    assert!(store.tell(notice, vec!["a".into()], at(second)).await.unwrap());
}

pub async fn a_backlog_is_folded_rule_by_rule_in_the_place_of_the_oldest(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.depth(&"a".into(), 10).await.unwrap().waiting, 0);
    assert_eq!(front(&*store, "a", 0, 10).await, Front::Past);
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a", "b"]).await;
    tell(&*store, 1).await;
    slow(&*store, 2, "Scan-3").await;
    fail(&*store, at(3), &["Scan-4"], &["a"]).await;
    let last = store.depth(&"a".into(), 1_000).await.unwrap();
    assert_eq!((last.waiting, store.depth(&"a".into(), 3).await.unwrap().waiting), (5, 3));
    fail(&*store, at(4), &["Scan-5"], &["a"]).await;
    let query = FrontQuery { channel: "a".into(), last: last.last, most: 10, now: at(5) };
    let Front::Together(found) = store.front(query.clone()).await.unwrap() else { panic!("nothing to fold") };
    assert_eq!(jobs_of(&found.roll_up), ["Scan-1", "Scan-2", "Scan-4"], "what came later is not of this backlog");
    assert!(found.roll_up.backlog && found.roll_up.kind == NotificationKind::RollUp);
    assert_eq!(store.fold(found.messages.clone(), at(5)).await.unwrap(), 3);
    assert_eq!(store.fold(found.messages, at(5)).await.unwrap(), 0, "once");
    assert_eq!(store.front(query).await.unwrap(), Front::Alone, "a roll-up of a backlog stays what it is");
    let batch = claim(&*store, "a", at(6)).await;
    let none: Vec<&str> = Vec::new();
    assert_eq!(each_job(&batch), [vec!["Scan-1", "Scan-2", "Scan-4"], none, vec!["Scan-3"], vec!["Scan-5"]]);
    assert!(batch[0].backlog && batch[1..].iter().all(|one| !one.backlog));
    assert_eq!((batch[0].kind, batch[0].total, batch[0].attempts), (NotificationKind::RollUp, 3, 0));
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![], 5));
    settle(&*store, batch[0].id, at(7), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::RolledUp, 3)], 2));
    assert_eq!(sums(&store.tally().await.unwrap(), "b"), (vec![], 2), "other channels have lines of their own");
    let rolled_up = deliveries(&*store, "rolled_up").await;
    assert_eq!(rolled_up.iter().filter(|one| one.rolled_into == Some(batch[0].id)).count(), 3);
}

pub async fn a_roll_up_of_a_backlog_carries_as_many_as_it_may_and_comes_under_the_same_key_again(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2", "Scan-3", "Scan-4", "Scan-5"], &["a"]).await;
    let copy = place.after_a_kill().await;
    for (store, second) in [(&store, 1), (&copy, 99)] {
        assert_eq!((fold(&**store, "a", second, 3).await, fold(&**store, "a", second, 3).await), (3, 0), "what is folded goes first");
    }
    let (batch, again) = (claim(&*store, "a", at(100)).await, claim(&*copy, "a", at(100)).await);
    assert_eq!(each_job(&batch), [vec!["Scan-1", "Scan-2", "Scan-3"], vec!["Scan-4"], vec!["Scan-5"]]);
    let keys = |batch: &[jobrelay::domain::Notification]| batch.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&batch), keys(&again));
}

pub async fn what_may_have_been_sent_is_not_folded(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2", "Scan-3", "Scan-4"], &["a"]).await;
    let Claim::Ready(first) = store.claim(&"a".into(), at(0), 1).await.unwrap() else { panic!("nothing waits") };
    assert_eq!(front(&*store, "a", 1, 10).await, Front::Alone, "it is being sent");
    // Killed now, it may have been taken, and comes again as it was.
    let risen = place.after_a_kill().await;
    assert_eq!(front(&*risen, "a", 1, 10).await, Front::Alone);
    shut(&*store, first[0].id, at(1), trouble(1, 2, 0)).await;
    assert_eq!(front(&*store, "a", 2, 10).await, Front::Alone, "it was tried");
    settle(&*store, first[0].id, at(2), Verdict::Dead).await;
    assert_eq!(fold(&*store, "a", 3, 10).await, 3);
    assert_eq!(store.retry(Retry::One(first[0].id), at(4)).await.unwrap(), 1);
    assert_eq!(front(&*store, "a", 5, 10).await, Front::Alone, "it was refused");
    assert_eq!(each_job(&claim(&*store, "a", at(5)).await), [vec!["Scan-1"], vec!["Scan-2", "Scan-3", "Scan-4"]]);
}

pub async fn groups_and_roll_ups_are_folded_with_what_they_carry(place: &dyn Place) {
    let store = place.open().await;
    let gather = |key: &str| Some(Gather { key: key.into(), wait: Duration::from_secs(60) });
    for (second, id, key) in [(0, "Scan-1", "x"), (0, "Scan-2", "x"), (0, "Scan-3", "y")] {
        let job = job(id, State::Failed);
        let alerts = vec![NewAlert { gather: gather(key), ..alert("failed", &job, 1, &["a"]) }];
        store.take_in(page(at(second), &job, 1, alerts)).await.unwrap();
    }
    for key in ["x", "y"] {
        store.send_group(&"failed".into(), key, at(60)).await.unwrap();
    }
    hold(&*store, at(61), &["Scan-4", "Scan-5"], &["a"]).await;
    assert_eq!(store.roll_up(&"failed".into(), at(62)).await.unwrap(), RollUp { messages: 1, folded: 2 });
    fail(&*store, at(63), &["Scan-6"], &["a"]).await;
    let let_through = store.let_through(&"failed".into(), 100).await.unwrap();
    assert_eq!(fold(&*store, "a", 70, 4).await, 3, "none is taken apart: two groups of three alerts in all");
    let Claim::Ready(first) = store.claim(&"a".into(), at(70), 1).await.unwrap() else { panic!("nothing waits") };
    assert_eq!(each_job(&first), [["Scan-1", "Scan-2", "Scan-3"]]);
    settle(&*store, first[0].id, at(70), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::RolledUp, 3)], 3));
    assert_eq!(fold(&*store, "a", 71, 10).await, 3);
    let rest = claim(&*store, "a", at(71)).await;
    assert_eq!((each_job(&rest), rest[0].total), (vec![vec!["Scan-4", "Scan-5", "Scan-6"]], 3));
    settle(&*store, rest[0].id, at(71), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::RolledUp, 6)], 0));
    assert_eq!(store.let_through(&"failed".into(), 100).await.unwrap(), let_through, "to a limit, nothing more was let through");
}

pub async fn a_dead_roll_up_of_a_backlog_goes_to_the_fallback_whole_and_is_sent_again_whole(place: &dyn Place) {
    let store = place.open().await;
    hold(&*store, at(0), &["Scan-1", "Scan-2"], &["a"]).await;
    store.roll_up(&"failed".into(), at(1)).await.unwrap();
    fail(&*store, at(2), &["Scan-3"], &["a"]).await;
    assert_eq!(fold(&*store, "a", 3, 10).await, 3);
    let message = claim(&*store, "a", at(3)).await.remove(0);
    let dead = jobrelay::store::Settlement { fallback: Some("b".into()), ..settlement(message.id, Verdict::Dead, at(4)) };
    store.settle(dead).await.unwrap();
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Dead, 3)], 0));
    let instead = claim(&*store, "b", at(5)).await;
    assert_eq!(each_job(&instead), [["Scan-1", "Scan-2", "Scan-3"]]);
    assert!(instead[0].backlog && instead[0].total == 3);
    settle(&*store, instead[0].id, at(5), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "b"), (vec![], 0), "a fallback's message counts for nothing");
    // Whichever is named, the one message is sent: the alert, the roll-up that was folded, or it itself.
    for one in deliveries(&*store, "dead").await {
        assert_eq!(store.retry(Retry::One(one.id), at(6)).await.unwrap(), 1, "{one:?}");
    }
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![], 3));
    settle(&*store, message.id, at(7), Verdict::Dead).await;
    assert_eq!(store.retry(Retry::Dead, at(8)).await.unwrap(), 1);
    let again = claim(&*store, "a", at(8)).await;
    assert_eq!((again.len(), &again[0].key, again[0].total), (1, &message.key, 3));
    settle(&*store, message.id, at(9), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::RolledUp, 3)], 0));
}

pub async fn none_of_a_backlog_is_given_up_before_its_own_time_is_over(place: &dyn Place) {
    let store = place.open().await;
    let overdue = |aged| Overdue {
        channel: "a".into(),
        aged: Duration::from_secs(aged),
        give_up_after: Duration::from_secs(100),
        answer: "given up".into(),
        fallback: None,
        now: at(1_000),
    };
    fail(&*store, at(0), &["Scan-0"], &["a"]).await;
    let first = claim(&*store, "a", at(0)).await.remove(0);
    fail(&*store, at(1), &["Scan-1"], &["a"]).await;
    shut(&*store, first.id, at(1), trouble(1, 5, 0)).await;
    fail(&*store, at(60), &["Scan-2"], &["a"]).await;
    shut(&*store, first.id, at(60), trouble(2, 65, 60)).await;
    settle(&*store, first.id, at(70), Verdict::Delivered).await;
    assert_eq!(fold(&*store, "a", 71, 10).await, 2);
    assert_eq!(store.give_up(overdue(110)).await.unwrap().messages, 0, "the older one's time alone is over");
    assert_eq!(store.give_up(overdue(161)).await.unwrap().messages, 1);
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Delivered, 1), (Ending::Dead, 2)], 0));
}
