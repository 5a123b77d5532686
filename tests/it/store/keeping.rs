//! What keeps a store in order: notices told once, and old jobs let go.

use jobrelay::{domain::Notice, store::OldJob};

use super::*;

fn notice(over: bool) -> Notice {
    Notice {
        topic: "source contoso down".into(),
        title: if over { "contoso can be read again" } else { "contoso can't be read" }.into(),
        text: "HTTP 503 “unavailable”".into(),
        since: (!over).then(|| at(-900)),
        severity: if over { Severity::Info } else { Severity::Critical },
        over,
    }
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(Name::from).collect()
}

pub async fn a_notice_is_told_once_at_each_end(place: &dyn Place) {
    let store = place.open().await;
    let before = store.tally().await.unwrap();
    assert!(!store.tell(notice(true), names(&["a"]), at(0)).await.unwrap(), "what was never told is never over");
    assert!(store.tell(notice(false), names(&["a", "b"]), at(0)).await.unwrap());
    assert!(!store.tell(notice(false), names(&["a", "b"]), at(1)).await.unwrap());
    drop(store);
    let store = place.open().await;
    assert!(!store.tell(notice(false), names(&["a", "b"]), at(2)).await.unwrap(), "a restart tells nothing twice");
    assert_eq!(store.told().await.unwrap(), BTreeMap::from([(notice(false).topic, at(-900))]));
    assert!(store.tell(notice(true), names(&["a"]), at(3)).await.unwrap());
    assert!(!store.tell(notice(true), names(&["a"]), at(4)).await.unwrap());
    assert_eq!(store.told().await.unwrap(), BTreeMap::new());
    // The next time it happens is another one, even if it began at the very same instant.
    assert!(
        store.tell(notice(false), names(&["c"]), at(4)).await.unwrap() && store.tell(notice(true), names(&["c"]), at(4)).await.unwrap()
    );
    assert!(
        store.tell(notice(false), names(&["c"]), at(5)).await.unwrap() && store.tell(notice(true), names(&["c"]), at(5)).await.unwrap()
    );
    assert_eq!(claim(&*store, "c", at(5)).await.len(), 4);
    // One that knows not since when is told as of now.
    assert!(store.tell(Notice { since: None, ..notice(false) }, names(&["a"]), at(5)).await.unwrap());
    assert_eq!(store.told().await.unwrap().values().copied().collect::<Vec<_>>(), [at(5)]);

    let (a, b) = (claim(&*store, "a", at(5)).await, claim(&*store, "b", at(5)).await);
    let said = |batch: &[Notification]| batch.iter().map(|one| (one.notice.clone().unwrap(), one.created)).collect::<Vec<_>>();
    assert_eq!(said(&a), [(notice(false), at(0)), (notice(true), at(3)), (Notice { since: None, ..notice(false) }, at(5))]);
    assert_eq!(said(&b), [(notice(false), at(0))]);
    assert!(a.iter().all(|one| one.kind == NotificationKind::Notice && one.alerts.is_empty()));
    let mut keys: Vec<&str> = a.iter().chain(&b).map(|one| one.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4, "each has a key of its own");

    let (dead, delivered) = (a[0].id, a[1].id);
    settle(&*store, dead, at(6), Verdict::Dead).await;
    settle(&*store, delivered, at(6), Verdict::Delivered).await;
    let ended = deliveries(&*store, "delivered").await;
    assert_eq!((ended.len(), ended[0].kind.as_str(), ended[0].rule.as_str()), (1, "notice", "source contoso down"));
    assert_eq!((ended[0].alerts, ended[0].jobs.len()), (0, 0));
    assert_eq!(store.retry(Retry::Dead, at(7)).await.unwrap(), 1);
    settle(&*store, dead, at(8), Verdict::Delivered).await;
    assert_eq!(store.tally().await.unwrap(), before, "the sums are of alerts, and a notice is none");
}

pub async fn what_is_no_longer_watched_is_forgotten_in_silence(place: &dyn Place) {
    let store = place.open().await;
    store.tell(notice(false), names(&["a"]), at(0)).await.unwrap();
    assert!(store.tell(notice(true), Vec::new(), at(1)).await.unwrap());
    assert_eq!(store.told().await.unwrap(), BTreeMap::new());
    assert_eq!(claim(&*store, "a", at(2)).await.len(), 1);
}

pub async fn old_jobs_come_oldest_first_page_by_page(place: &dyn Place) {
    let store = place.open().await;
    let started = |id: &str, second: Option<i64>| Job { started: second.map(at), ..job(id, State::Finished) };
    let jobs = [
        started("Scan-3", Some(-50)),
        started("Scan-1", Some(-90)),
        // Of two that started at once, and of one that never told its start.
        started("Scan-2b", Some(-70)),
        started("Scan-2a", Some(-70)),
        started("Scan-4", None),
        started("Scan-5", Some(10)),
        Job { started: Some(at(-80)), ..job("Scan-running", State::Running) },
        Job { source: "fabrikam".into(), ..started("Scan-1", Some(-90)) },
    ];
    for job in jobs {
        store.take_in(page(at(-40), &job, 1, Vec::new())).await.unwrap();
    }
    for most in [1, 2, 100] {
        let (mut seen, mut place) = (Vec::new(), OldJob::default());
        loop {
            let (ids, end) = store.old_jobs(&"contoso".into(), at(0), place, most).await.unwrap();
            assert!(ids.len() <= most as usize);
            if ids.is_empty() {
                break;
            }
            seen.extend(ids);
            place = end;
        }
        assert_eq!(seen, ["Scan-1", "Scan-2a", "Scan-2b", "Scan-3", "Scan-4"], "{most} at a time");
    }
}

/// One sweep of the whole list that meets these of all the jobs.
async fn swept(store: &dyn Store, all: &[&str], met: &[&str]) {
    let listed = all.iter().map(|id| ((*id).to_owned(), met.contains(id))).collect();
    store.note_listed(&"contoso".into(), listed).await.unwrap();
}

async fn ids(store: &dyn Store) -> Vec<String> {
    let rows = store.jobs(JobFilter { limit: 1_000, ..JobFilter::default() }).await.unwrap();
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.job.id).collect();
    ids.sort();
    ids
}

pub async fn a_job_goes_once_it_is_old_absent_twice_and_settled(place: &dyn Place) {
    let store = place.open().await;
    let contoso = Name::from("contoso");
    store.open_source(&contoso, at(-1_000)).await.unwrap();
    // Each job's alert on the channel of its own name stands differently.
    let all = ["quiet", "delivered", "dead", "pending", "waits", "held", "folded", "young", "listed", "once", "running"];
    for id in all {
        let mut one = job(id, if id == "running" { State::Running } else { State::Failed });
        if id == "young" {
            one.finished = Some(at(5));
        }
        let raised = alert("failed", &one, 1, &[id]);
        let raised = match id {
            "quiet" | "running" => Vec::new(),
            "held" => vec![super::held(alert("slow", &one, 1, &[id]))],
            "folded" => vec![super::held(raised)],
            _ => vec![raised],
        };
        store.take_in(page(at(0), &one, 1, raised)).await.unwrap();
    }
    store.roll_up(&"failed".into(), at(0)).await.unwrap();
    for (id, verdict) in [
        ("delivered", Verdict::Delivered),
        ("young", Verdict::Delivered),
        ("listed", Verdict::Delivered),
        ("once", Verdict::Delivered),
        ("dead", Verdict::Dead),
        ("waits", Verdict::Aside(at(60))),
    ] {
        let batch = claim(&*store, id, at(0)).await;
        settle(&*store, batch[0].id, at(0), verdict).await;
    }
    let tally = store.tally().await.unwrap();
    assert_eq!(store.prune(&contoso, at(1)).await.unwrap().jobs, 0, "none was absent yet");
    assert_eq!(store.open_source(&contoso, at(0)).await.unwrap().pruned, None);
    swept(&*store, &all, &["listed"]).await;
    assert_eq!(store.prune(&contoso, at(1)).await.unwrap().jobs, 0, "one absence may be an odd moment");
    // One that is met again begins anew.
    swept(&*store, &all, &["listed", "once"]).await;
    swept(&*store, &["once"], &[]).await;
    assert_eq!(store.prune(&"fabrikam".into(), at(1)).await.unwrap().jobs, 0);

    let pruned = store.prune(&contoso, at(1)).await.unwrap();
    assert_eq!((pruned.jobs, pruned.more), (2, false));
    let mut kept: Vec<&str> = all.into_iter().filter(|id| !["quiet", "delivered"].contains(id)).collect();
    kept.sort_unstable();
    assert_eq!(ids(&*store).await, kept);
    assert_eq!(store.known(&contoso, vec!["delivered".into()]).await.unwrap(), [None]);
    assert_eq!(store.alerted(&contoso, "delivered", 1).await.unwrap(), []);
    assert_eq!(store.tally().await.unwrap(), tally, "what was counted stays counted");
    assert_eq!(store.open_source(&contoso, at(0)).await.unwrap().pruned, Some(at(1)));

    // What held the others back comes to its end, and they go too.
    for id in ["pending", "waits", "folded", "dead"] {
        store.retry(Retry::Dead, at(60)).await.unwrap();
        for one in claim(&*store, id, at(60)).await {
            settle(&*store, one.id, at(60), Verdict::Delivered).await;
        }
    }
    assert_eq!(store.prune(&contoso, at(2)).await.unwrap().jobs, 4);
    assert_eq!(ids(&*store).await, ["held", "listed", "once", "running", "young"]);
    drop(store);
    let store = place.open().await;
    assert_eq!(store.open_source(&contoso, at(0)).await.unwrap().pruned, Some(at(2)));
    // A later pruning that reaches less far takes nothing back.
    swept(&*store, &["once"], &[]).await;
    assert_eq!(store.prune(&contoso, at(-5)).await.unwrap().jobs, 1);
    assert_eq!(store.open_source(&contoso, at(0)).await.unwrap().pruned, Some(at(2)));
}

pub async fn pruning_is_done_piece_by_piece(place: &dyn Place) {
    let store = place.open().await;
    store.open_source(&"contoso".into(), at(-1_000)).await.unwrap();
    let jobs: Vec<Job> = (0..450).map(|n| job(&format!("Scan-{n:03}"), State::Finished)).collect();
    let change = |job: &Job| JobChange { job: Arc::new(job.clone()), run: 1, newly_final: true, unjudged: false };
    let intake = Intake {
        source: "contoso".into(),
        now: at(0),
        jobs: jobs.iter().map(change).collect(),
        alerts: Vec::new(),
        judged: Vec::new(),
        rules_version: "".into(),
        unreadable: Vec::new(),
    };
    store.take_in(intake).await.unwrap();
    let all: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    swept(&*store, &all, &[]).await;
    swept(&*store, &all, &[]).await;
    let (mut left, mut pieces) = (450, 0);
    loop {
        let pruned = store.prune(&"contoso".into(), at(1)).await.unwrap();
        left -= pruned.jobs;
        pieces += 1;
        assert_eq!(ids(&*store).await.len(), left);
        if !pruned.more {
            break;
        }
    }
    assert!(left == 0 && pieces > 1, "{left} left after {pieces} pieces");
}

pub async fn old_notices_and_roll_ups_go_by_their_own_age(place: &dyn Place) {
    let store = place.open().await;
    store.open_source(&"contoso".into(), at(-1_000)).await.unwrap();
    store.tell(notice(false), names(&["a", "b"]), at(0)).await.unwrap();
    store.tell(notice(true), names(&["a"]), at(1)).await.unwrap();
    hold(&*store, at(2), &["Scan-1"], &["a"]).await;
    store.roll_up(&"failed".into(), at(3)).await.unwrap();
    for one in claim(&*store, "a", at(10)).await {
        settle(&*store, one.id, at(10), Verdict::Delivered).await;
    }
    let (told, dead) = (claim(&*store, "b", at(10)).await[0].id, "dead");
    settle(&*store, told, at(10), Verdict::Dead).await;
    store.prune(&"contoso".into(), at(10)).await.unwrap();
    assert_eq!(deliveries(&*store, "delivered").await.len(), 3, "they ended at this very instant, not before it");
    store.prune(&"contoso".into(), at(11)).await.unwrap();
    let left = deliveries(&*store, "delivered").await;
    assert_eq!(left.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["roll_up"], "it still carries an alert");
    assert_eq!(deliveries(&*store, dead).await.len(), 1, "a dead letter stays until someone has dealt with it");
    swept(&*store, &["Scan-1"], &[]).await;
    swept(&*store, &["Scan-1"], &[]).await;
    assert_eq!(store.prune(&"contoso".into(), at(11)).await.unwrap().jobs, 1);
    assert_eq!(deliveries(&*store, "delivered").await.len(), 0);
}
