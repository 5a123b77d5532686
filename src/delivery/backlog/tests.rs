use proptest::prelude::*;

use super::*;
use crate::{
    channel::Wording,
    delivery::tests::real,
    domain::{Job, NotificationKind},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_backlog_is_what_takes_more_than_two_minutes_and_is_more_than_a_few() {
    for (interval, expected) in [
        (Duration::ZERO, None),
        (SECOND, Some(121)),
        (SECOND / 2, Some(241)),
        (SECOND / 10, Some(1_201)),
        (2 * SECOND, Some(61)),
        (12 * SECOND, Some(51)),
        (720 * SECOND, Some(51)),
    ] {
        assert_eq!(least(interval), expected, "{interval:?}");
    }
}

#[test]
fn a_slow_channel_claims_what_it_sends_soon() {
    for (interval, expected) in
        [(Duration::ZERO, 64), (SECOND / 1_000, 64), (SECOND / 10, 50), (SECOND, 5), (2 * SECOND, 2), (720 * SECOND, 1)]
    {
        assert_eq!(claimed_at_once(interval), expected, "{interval:?}");
    }
}

proptest! {
    #[test]
    fn a_roll_up_is_filled_or_made_smaller(carried in 2_usize..300, capacity in 0_usize..400) {
        let measured = carried + carried.div_ceil(10);
        let room = room(carried, measured, measured.min(capacity));
        prop_assert!(room <= carried);
        if room == carried {
            prop_assert!(capacity >= measured);
        } else {
            // A tenth more of what is left would find room, but for what is lost in whole numbers.
            prop_assert!(room + room.div_ceil(10) <= capacity + 1);
        }
    }
}

/// A roll-up of a backlog, of so many jobs.
fn roll_up(count: usize, profile: &str) -> Notification {
    let job = |n| Job { profile: profile.into(), ..real::job(n) };
    let sample = Notification::sample(NotificationKind::RollUp, &real::facts("scan-failed"), (0..count).map(job).collect(), real::now());
    Notification { backlog: true, ..sample }
}

#[test]
fn each_kind_that_people_read_says_how_many_it_names_and_a_machine_is_told_one_by_one() {
    let address = "url: https://hooks.slack.com/services/T0123456/B0123456/x";
    let teams = "url: https://prod.westeurope.environment.api.powerplatform.com/workflows/x/triggers/manual/paths/invoke?sig=x";
    let mail = "smtp: smtp://127.0.0.1:25\nfrom: jobrelay@contoso.example\nto: [admins@contoso.example]";
    for (kind, yaml, expected) in
        [("slack", address, Some(50..150)), ("teams", teams, Some(50..150)), ("email", mail, Some(150..400)), ("webhook", address, None)]
    {
        let channel = real::live(kind, yaml);
        let many = roll_up(400, "scan sharepoint sites");
        let named = channel.names(&many, real::now());
        match (named, &expected) {
            (None, None) => {}
            (Some(named), Some(expected)) => {
                assert!(expected.contains(&named), "{kind}: {named}");
                // What it says is what it does.
                let message = channel.compose(&roll_up(named, "scan sharepoint sites"), &Wording::Configured, real::now()).unwrap();
                let shown = format!("{message:?}");
                assert!((0..named).all(|n| shown.contains(&real::id(n))), "{kind}: {shown}");
                assert!(
                    shown.contains("held while the channel could not be reached or was behind") || shown.contains("Held while"),
                    "{kind}"
                );
                // However long the names, at least the first ones.
                let long = channel.names(&roll_up(400, &"&<*é\"".repeat(1_000)), real::now());
                assert!(long.is_some_and(|long| (2..named).contains(&long)), "{kind}: {long:?}");
            }
            _ => panic!("{kind}: {named:?}"),
        }
    }
}
