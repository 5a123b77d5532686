use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

#[tokio::test(start_paused = true)]
async fn ends_wait_for_a_complete_sweep_but_not_for_ever() {
    let mut hindsight = Hindsight::default();
    let began = Instant::now();
    hindsight.begins(at(100), Some(at(90)));
    assert_eq!(hindsight.until(true, began), None, "nothing waits");
    hindsight.marked(began);
    assert_eq!(hindsight.until(false, began), None);
    assert_eq!(hindsight.until(true, began), Some(at(100)));
    let patience = began + PATIENCE;
    assert_eq!(hindsight.until(false, patience - Duration::from_millis(1)), None);
    assert_eq!((hindsight.until(false, patience), hindsight.due()), (Some(Timestamp::MAX), Some(patience)));
    hindsight.judged(None, patience);
    assert_eq!((hindsight.until(false, patience), hindsight.due()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_ended_while_the_list_was_read_waits_for_the_next_turn_and_holds_up_no_later_one() {
    let mut hindsight = Hindsight::default();
    let began = Instant::now();
    hindsight.begins(at(100), Some(at(105)));
    hindsight.marked(began);
    assert_eq!(hindsight.until(true, began), Some(at(105)), "the first page shows what had ended by then");
    hindsight.judged(Some(at(110)), began);
    let patience = began + PATIENCE;
    hindsight.marked(began + Duration::from_secs(60));
    // Others wait as well by now, but not for so long.
    assert_eq!(hindsight.until(false, patience), Some(at(110)));
    assert_eq!(hindsight.until(true, patience), Some(at(110)));
    hindsight.judged(Some(at(400)), patience);
    assert_eq!(hindsight.until(false, patience), None);
}
