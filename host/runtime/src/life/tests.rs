use std::time::{Duration, Instant};

use midplane_model::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, RESTART_WINDOW, RESTARTS_MAX};
use proptest::prelude::*;

use super::{Happened, Life, Outcome, State, Then};

/// Every change that may be seen. What is not here is a bug, whatever happened.
fn is_legal(from: State, to: State) -> bool {
    use State::{Backoff, Degraded, Disabled, Failed, Reloading, Running, Starting, Waiting};
    match from {
        Waiting => matches!(to, Waiting | Starting | Failed | Disabled),
        Starting => matches!(to, Running | Waiting | Failed | Backoff | Disabled),
        Running => matches!(to, Reloading | Degraded | Waiting | Backoff | Disabled),
        Degraded => matches!(to, Degraded | Running | Reloading | Waiting | Backoff | Disabled),
        Reloading => matches!(to, Running | Backoff | Disabled),
        Backoff => matches!(to, Starting | Waiting | Failed | Disabled),
        Disabled => matches!(to, Disabled | Starting),
        Failed => matches!(to, Failed | Starting | Waiting | Disabled),
    }
}

fn reason() -> impl Strategy<Value = String> {
    "[a-c]"
}

fn happened() -> impl Strategy<Value = Happened> {
    let left = 0..3_usize;
    prop_oneof![
        reason().prop_map(Happened::Found),
        reason().prop_map(Happened::Enabled),
        reason().prop_map(Happened::Disabled),
        reason().prop_map(Happened::NeedsMet),
        reason().prop_map(Happened::NeedsMissing),
        reason().prop_map(Happened::NeedsCircular),
        reason().prop_map(Happened::Started),
        reason().prop_map(Happened::NotStarted),
        (reason(), left.clone()).prop_map(|(reason, left)| Happened::Died { reason, left }),
        Just(Happened::Rested),
        reason().prop_map(Happened::ReloadBegun),
        reason().prop_map(Happened::Reloaded),
        (reason(), left).prop_map(|(reason, left)| Happened::NotReloaded { reason, left }),
        reason().prop_map(Happened::Sick),
        Just(Happened::Well),
    ]
}

/// A plugin that has lived through some history, at the moment where it ends.
fn lived(history: &[(Happened, u64)]) -> (Life, Instant) {
    let (mut life, mut now) = (Life::new(), Instant::now());
    for (happened, ms) in history {
        now += Duration::from_millis(*ms);
        life.apply(happened.clone(), now);
    }
    (life, now)
}

fn history() -> impl Strategy<Value = Vec<(Happened, u64)>> {
    proptest::collection::vec((happened(), 0..5000_u64), 0..60)
}

fn running() -> Life {
    let mut life = Life::new();
    life.apply(Happened::Found("found".into()), Instant::now());
    life.apply(Happened::Started("started".into()), Instant::now());
    assert_eq!(life.state(), State::Running);
    life
}

proptest! {
    #[test]
    fn no_history_leads_to_an_illegal_change(history in history()) {
        let (mut life, mut now) = (Life::new(), Instant::now());
        for (happened, ms) in history {
            now += Duration::from_millis(ms);
            let before = life.state();
            let Outcome { change, then } = life.apply(happened, now);
            match change {
                Some(change) => {
                    prop_assert_eq!(change.from, before);
                    prop_assert_eq!(change.to, life.state());
                    prop_assert!(is_legal(change.from, change.to), "{:?} to {:?}", change.from, change.to);
                    prop_assert!(!change.reason.is_empty());
                }
                None => prop_assert_eq!(life.state(), before),
            }
            match then {
                Some(Then::Start) => prop_assert!(matches!(life.state(), State::Starting | State::Running | State::Degraded)),
                Some(Then::Stop) => prop_assert!(matches!(life.state(), State::Waiting | State::Disabled)),
                Some(Then::RestartAfter(pause)) => {
                    prop_assert!((RESTART_PAUSE_MIN..=RESTART_PAUSE_MAX).contains(&pause));
                    prop_assert!(matches!(life.state(), State::Backoff | State::Running | State::Degraded));
                }
                None => {}
            }
        }
    }

    #[test]
    fn whatever_happened_a_request_to_enable_leads_to_running(history in history()) {
        let (mut life, now) = lived(&history);
        if life.state() == State::Reloading {
            life.apply(Happened::Reloaded("done".into()), now);
        }
        if life.state() == State::Waiting {
            prop_assert_eq!(life.apply(Happened::NeedsMet("there".into()), now).then, Some(Then::Start));
        }
        life.apply(Happened::Enabled("asked".into()), now);
        life.apply(Happened::Started("started".into()), now);
        prop_assert!(matches!(life.state(), State::Running | State::Degraded));
    }

    #[test]
    fn whatever_happened_a_request_to_disable_is_obeyed_and_only_a_request_ends_it(history in history(), after in history()) {
        let (mut life, mut now) = lived(&history);
        life.apply(Happened::Disabled("asked".into()), now);
        prop_assert_eq!(life.state(), State::Disabled);
        for (happened, ms) in after {
            if matches!(happened, Happened::Enabled(_)) {
                continue;
            }
            now += Duration::from_millis(ms);
            life.apply(happened, now);
            prop_assert_eq!(life.state(), State::Disabled);
        }
    }

    #[test]
    fn pauses_grow_until_the_budget_is_used_up(spacing_ms in 0..RESTART_WINDOW.as_millis() as u64 / 8) {
        let (mut life, mut now) = (running(), Instant::now());
        let mut last = Duration::ZERO;
        for _ in 0..RESTARTS_MAX {
            now += Duration::from_millis(spacing_ms);
            let outcome = life.apply(Happened::Died { reason: "trap".into(), left: 0 }, now);
            let Some(Then::RestartAfter(pause)) = outcome.then else { panic!("{outcome:?}") };
            prop_assert!(pause > last && pause <= RESTART_PAUSE_MAX);
            last = pause;
            prop_assert_eq!(life.state(), State::Backoff);
            prop_assert_eq!(life.apply(Happened::Rested, now).then, Some(Then::Start));
            life.apply(Happened::Started("started".into()), now);
        }
        life.apply(Happened::Died { reason: "trap".into(), left: 0 }, now);
        prop_assert_eq!(life.state(), State::Disabled);
        // Other files may be the remedy, so they start it.
        prop_assert_eq!(life.apply(Happened::Found("new files".into()), now).then, Some(Then::Start));
    }

    #[test]
    fn failures_that_are_far_enough_apart_never_disable(failures in 1..40_usize) {
        let (mut life, mut now) = (running(), Instant::now());
        for _ in 0..failures {
            now += RESTART_WINDOW;
            let outcome = life.apply(Happened::Died { reason: "trap".into(), left: 0 }, now);
            prop_assert_eq!(outcome.then, Some(Then::RestartAfter(RESTART_PAUSE_MIN)));
            life.apply(Happened::Rested, now);
            life.apply(Happened::Started("started".into()), now);
        }
    }
}

#[test]
fn a_first_start_that_fails_is_final_and_one_after_a_failure_is_tried_again() {
    let (mut life, now) = (Life::new(), Instant::now());
    life.apply(Happened::Found("found".into()), now);
    life.apply(Happened::NotStarted("refused".into()), now);
    assert_eq!(life.state(), State::Failed);

    let mut life = running();
    life.apply(Happened::Died { reason: "trap".into(), left: 0 }, now);
    life.apply(Happened::Rested, now);
    life.apply(Happened::NotStarted("refused".into()), now);
    assert_eq!(life.state(), State::Backoff);
}

#[test]
fn others_count_on_a_plugin_all_through_a_restart() {
    let (mut life, now) = (running(), Instant::now());
    let died = Happened::Died { reason: "trap".into(), left: 0 };
    for happened in [died, Happened::Rested, Happened::NotStarted("refused".into()), Happened::Rested] {
        life.apply(happened.clone(), now);
        assert!(life.is_up(), "not after {happened:?}, {:?}", life.state());
    }
    life.apply(Happened::Disabled("asked".into()), now);
    assert!(!life.is_up());
    life.apply(Happened::Enabled("asked".into()), now);
    assert!(!life.is_up(), "nobody counts on a first start");
}

#[test]
fn one_instance_of_several_fails_without_a_change() {
    let mut life = running();
    let outcome = life.apply(Happened::Died { reason: "trap".into(), left: 2 }, Instant::now());
    assert_eq!(outcome, Outcome { change: None, then: Some(Then::RestartAfter(RESTART_PAUSE_MIN)) });
    assert_eq!(life.apply(Happened::Rested, Instant::now()).then, Some(Then::Start));
}

#[test]
fn a_plugin_that_needs_itself_is_failed_until_others_change() {
    let (mut life, now) = (Life::new(), Instant::now());
    life.apply(Happened::Found("found".into()), now);
    life.apply(Happened::NeedsCircular("a → b → a".into()), now);
    assert_eq!(life.state(), State::Failed);
    assert!(life.waits_for_others());
    assert_eq!(life.apply(Happened::NeedsMet("b changed".into()), now).then, Some(Then::Start));
}
