//! Jobs that run again, and those that a first run looks back on.

use super::*;

#[tokio::test]
async fn each_run_of_a_job_counts_and_one_that_runs_again_is_not_forgotten() {
    let mut world = World::new();
    let first = world.job("contoso", "sites", State::Failed, t("2026-03-05T02:00:00Z"), 5);
    let takes = async |world: &World, at: &str, run: u32, job: &Job| {
        let change = JobChange { job: Arc::new(job.clone()), run, newly_final: job.is_final(), unjudged: false };
        let (alerts, judged, unreadable, rules_version) = (Vec::new(), Vec::new(), Vec::new(), "".into());
        let intake = Intake { source: "contoso".into(), now: t(at), jobs: vec![change], alerts, judged, rules_version, unreadable };
        world.store.take_in(intake).await.unwrap();
    };
    takes(&world, "2026-03-05T02:01:00Z", 1, &first).await;
    takes(&world, "2026-03-05T03:00:00Z", 2, &Job { state: State::Running, finished: None, ..first.clone() }).await;
    let sum_up = async |world: &World| world.sum_up(&["contoso"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;
    let digest = sum_up(&world).await;
    assert_eq!((digest.totals.failed, digest.failing.first.len()), (1, 1));
    assert_eq!(digest.days.iter().map(|day| day.failed).sum::<u64>(), 1);
    takes(&world, "2026-03-05T04:01:00Z", 2, &Job { state: State::Failed, finished: Some(t("2026-03-05T04:00:00Z")), ..first }).await;
    let digest = sum_up(&world).await;
    assert_eq!((digest.totals.failed, digest.failing.first[0].streak), (2, Some(2)));
    assert_eq!(digest.days.iter().map(|day| day.failed).sum::<u64>(), 2);
}

#[tokio::test]
async fn what_a_first_run_looks_back_on_is_counted_when_it_was_seen_and_shown_on_the_days_on_which_it_ended() {
    for when in [None, Some("{ not: { state: running } }")] {
        let mut world = World::new();
        let seen = t("2026-03-05T10:00:00Z");
        world.store.open_source(&"contoso".into(), t("2026-02-03T10:00:00Z")).await.unwrap();
        let old = world.job("contoso", "sites", State::Finished, t("2026-02-04T02:00:00Z"), 5);
        let jobs: Vec<Job> = (1..=4)
            .map(|day| world.job("contoso", "sites", State::Failed, t(&format!("2026-03-0{day}T02:00:00Z")), 5))
            .chain([old])
            .collect();
        world.take_in(seen, true, jobs).await;
        world.store.end_sweep(&"contoso".into(), Some(seen)).await.unwrap();
        // Once the list has been read, what is seen late is shown where it is counted, as ever; and so is what others see.
        let late = world.job("contoso", "sites", State::Stopped, t("2026-03-03T02:00:00Z"), 5);
        let other = world.job("fabrikam", "sites", State::Stopped, t("2026-03-03T02:00:00Z"), 5);
        world.take_in(seen + minutes(1), true, vec![late]).await;
        world.take_in(seen, true, vec![other]).await;
        let digest = world.sum_up(&["contoso"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", when.map(part)).await;
        assert_eq!((digest.totals.failed, digest.totals.finished, digest.totals.stopped), (4, 1, 2));
        let days: Vec<u64> = digest.days.iter().rev().take(6).rev().map(|day| day.failed).collect();
        assert_eq!(days, [1, 1, 1, 1, 0, 0], "up to 5 March, of which the next day in Zurich has an hour");
        assert_eq!(digest.days.iter().map(|day| day.finished).sum::<u64>(), 0, "30 days begin later");
        assert_eq!(digest.days.iter().rev().take(2).map(|day| day.other).sum::<u64>(), 2);
    }
}
