//! The replacement of a generation as a pure state machine. It says what to do next; whoever does it says what came of it.
//!
//! ```text
//! stateful   prepare → drain and save → restore → start → swap → watch → settle | roll back
//! stateless  prepare → start → take the mailbox → swap → watch → settle | roll back
//! ```
//! Every failure before the swap leads to [`Step::Abandon`]: the old generation goes on, untouched, with the mailbox.

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the new instances beside the old ones.
    Prepare,
    /// The old ones finish what is inside, give their state and take nothing more from the mailbox.
    DrainAndSave,
    /// The new ones get the state.
    Restore,
    Start,
    /// The old ones take nothing more from the mailbox and finish what is inside meanwhile.
    TakeMailbox,
    /// Methods, offers and mailbox go to the new ones. The old ones are parked.
    Swap,
    /// Probation: see whether the new ones hold.
    Watch,
    /// The end: the new ones are dropped. With `give_back`, the old ones take from the mailbox again.
    Abandon {
        give_back: bool,
    },
    /// The end: the old ones are dropped.
    Settle,
    /// The end: the new ones are dropped, methods, offers and mailbox go back to the old ones.
    RollBack,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It is done; for [`Step::Watch`]: the time is over, or nobody wants to wait for that.
    Done,
    Failed,
    /// The old generation is gone. Before the swap there is nothing to take from it, after the swap no way back.
    OldGone,
}

#[derive(Debug)]
pub struct Reload {
    stateful: bool,
    step: Step,
    old_gone: bool,
}

impl Reload {
    /// `stateful`: both generations keep state, so there is something to hand over.
    pub fn new(stateful: bool) -> Self {
        Self { stateful, step: Step::Prepare, old_gone: false }
    }

    pub fn step(&self) -> Step {
        self.step
    }

    /// Takes what came of the present step and gives the next one. At an end, nothing changes any more.
    pub fn after(&mut self, came: Came) -> Step {
        self.old_gone |= came == Came::OldGone;
        self.step = match (self.step, came) {
            (end @ (Step::Abandon { .. } | Step::Settle | Step::RollBack), _) => end,
            (Step::Watch, Came::Failed) => Step::RollBack,
            (Step::Watch, Came::Done | Came::OldGone) => Step::Settle,
            (step, Came::Failed) => Step::Abandon { give_back: self.asked_for_mailbox(step) },
            (Step::Prepare, _) if self.stateful => Step::DrainAndSave,
            (Step::Prepare | Step::Restore, _) => Step::Start,
            (Step::DrainAndSave, _) => Step::Restore,
            (Step::Start, _) if self.stateful => Step::Swap,
            (Step::Start, _) => Step::TakeMailbox,
            (Step::TakeMailbox, _) => Step::Swap,
            (Step::Swap, _) if self.old_gone => Step::Settle,
            (Step::Swap, _) => Step::Watch,
        };
        self.step
    }

    /// Whether the old generation may have given the mailbox up by the end of `step`. A drain that failed has not, but it
    /// was asked, and asking it to go on costs nothing.
    fn asked_for_mailbox(&self, step: Step) -> bool {
        match step {
            Step::Prepare => false,
            Step::Start => self.stateful,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who takes from the mailbox.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Taker {
        Old,
        Nobody,
        New,
    }

    /// A world that does what it is told, and in which any step may fail.
    #[derive(Debug)]
    struct World {
        taker: Taker,
        old: bool,
        new: bool,
        saved: bool,
        restored: bool,
        started: bool,
        swaps: usize,
    }

    impl World {
        fn new() -> Self {
            Self { taker: Taker::Old, old: true, new: false, saved: false, restored: false, started: false, swaps: 0 }
        }

        /// Does a step as far as it comes.
        fn step(&mut self, step: Step, came: Came) {
            if came == Came::OldGone {
                self.old = false;
                if self.taker == Taker::Old {
                    self.taker = Taker::Nobody;
                }
            }
            let done = came != Came::Failed;
            match step {
                Step::Prepare => self.new = done,
                Step::DrainAndSave if came == Came::Done => (self.saved, self.taker) = (true, Taker::Nobody),
                Step::Restore => self.restored = done,
                Step::Start => self.started = done,
                Step::TakeMailbox if came == Came::Done => self.taker = Taker::Nobody,
                Step::Swap if done => (self.taker, self.swaps) = (Taker::New, self.swaps + 1),
                _ => {}
            }
        }

        fn end(&mut self, step: Step) {
            match step {
                Step::Abandon { give_back } => {
                    self.new = false;
                    if give_back && self.old {
                        self.taker = Taker::Old;
                    }
                }
                Step::Settle => self.old = false,
                Step::RollBack => (self.new, self.taker) = (false, Taker::Old),
                _ => {}
            }
        }
    }

    fn came() -> impl Strategy<Value = Came> {
        prop_oneof![4 => Just(Came::Done), 1 => Just(Came::Failed), 1 => Just(Came::OldGone)]
    }

    proptest! {
        #[test]
        fn every_reload_ends_with_one_generation_that_takes_from_the_mailbox(stateful: bool, results in proptest::collection::vec(came(), 8)) {
            let (mut world, mut reload, mut before) = (World::new(), Reload::new(stateful), Vec::new());
            let mut gone_before = false;
            for came in results {
                let step = reload.step();
                if matches!(step, Step::Abandon { .. } | Step::Settle | Step::RollBack) {
                    break;
                }
                // Nobody finds out twice that the old one is gone.
                let came = if gone_before && came == Came::OldGone { Came::Done } else { came };
                gone_before |= came == Came::OldGone;
                if step == Step::Swap {
                    prop_assert!(world.taker == Taker::Nobody || !world.old, "swapped while the old one takes");
                    prop_assert!(world.new && world.started);
                    prop_assert!(!stateful || world.restored);
                }
                if step == Step::Restore {
                    prop_assert!(world.saved || !world.old, "restored before it was saved");
                }
                world.step(step, came);
                before.push(step);
                reload.after(came);
            }
            let end = reload.step();
            world.end(end);
            prop_assert!(world.swaps <= 1);
            match end {
                Step::Abandon { .. } => {
                    prop_assert_eq!(world.swaps, 0);
                    prop_assert!(!world.new);
                    prop_assert_eq!(world.taker, if world.old { Taker::Old } else { Taker::Nobody });
                }
                Step::Settle => prop_assert_eq!((world.swaps, world.taker, world.old), (1, Taker::New, false)),
                Step::RollBack => {
                    prop_assert!(world.old, "rolled back to nobody");
                    prop_assert_eq!((world.swaps, world.taker, world.new), (1, Taker::Old, false));
                }
                other => prop_assert!(false, "did not end: {:?} after {:?}", other, before),
            }
        }

        #[test]
        fn a_failure_before_the_swap_leaves_the_old_generation_untouched(stateful: bool, failing in 0..5_usize) {
            let (mut world, mut reload) = (World::new(), Reload::new(stateful));
            for count in 0.. {
                let step = reload.step();
                if matches!(step, Step::Watch | Step::Abandon { .. }) {
                    break;
                }
                let came = if count == failing { Came::Failed } else { Came::Done };
                world.step(step, came);
                reload.after(came);
            }
            let end = reload.step();
            world.end(end);
            if let Step::Abandon { .. } = end {
                prop_assert!(world.old && !world.new && world.taker == Taker::Old && world.swaps == 0);
            } else {
                let steps = if stateful { 5 } else { 4 };
                prop_assert!(failing >= steps);
            }
        }
    }

    #[test]
    fn the_new_generation_of_a_stateless_plugin_is_ready_before_the_old_one_stops_taking() {
        let mut reload = Reload::new(false);
        let mut steps = vec![reload.step()];
        while reload.step() != Step::Watch {
            steps.push(reload.after(Came::Done));
        }
        assert_eq!(steps, [Step::Prepare, Step::Start, Step::TakeMailbox, Step::Swap, Step::Watch]);
    }

    #[test]
    fn a_new_generation_that_fails_in_its_probation_is_rolled_back_unless_the_old_one_is_gone() {
        for (came, end) in [(Came::Failed, Step::RollBack), (Came::Done, Step::Settle), (Came::OldGone, Step::Settle)] {
            let mut reload = Reload::new(true);
            while reload.step() != Step::Watch {
                reload.after(Came::Done);
            }
            assert_eq!(reload.after(came), end);
        }
    }
}
