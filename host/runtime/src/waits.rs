//! Who waits for whom, so that plugins which would wait for each other until a deadline are told at once.
//!
//! An instance that waits in a plain import does nothing else, nor does one with room for a single call; so nobody takes from a
//! plugin's mailbox while all its instances wait. Plugins that call each other at the same moment are *stuck* then, and the
//! chain of a call cannot know: these are two calls. Whoever would make it so is refused with `cycle`, and goes on.
//!
//! Left to the deadline is what is not seen here: waits of one call among several inside an instance, and waits by way of an
//! event that asks for an answer.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use midplane_model::{CallContext, ErrorCode, Fault, PluginName};

/// Time after which the others may have got on.
const RETRY_AFTER_MS: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct InstanceId(u64);

/// The waits of all instances.
#[derive(Default)]
pub struct Waits {
    state: Mutex<State>,
    ids: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The instances that take from a plugin's mailbox.
    takers: HashMap<PluginName, Vec<InstanceId>>,
    /// What an instance waits for that does nothing else meanwhile.
    held: HashMap<InstanceId, Vec<PluginName>>,
}

/// One instance, as others see it.
#[derive(Clone)]
pub struct Waiter {
    waits: Arc<Waits>,
    plugin: PluginName,
    id: InstanceId,
}

impl Waits {
    pub fn waiter(self: &Arc<Self>, plugin: &PluginName) -> Waiter {
        Waiter { waits: self.clone(), plugin: plugin.clone(), id: InstanceId(self.ids.fetch_add(1, Relaxed)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// For as long as the instance serves; it begins when it is told that it takes.
    pub fn taker(&self) -> Taker {
        Taker { waiter: self.clone(), takes: false }
    }

    /// From now on the instance does nothing else than waiting for `callee`, until the guard is dropped.
    ///
    /// # Errors
    /// `cycle` when that would never end by itself.
    pub fn wait_for(&self, callee: &PluginName, context: &CallContext) -> Result<Option<Waiting>, Fault> {
        if context.chain.contains(callee) {
            // Refused where the call is delivered, with its own chain.
            return Ok(None);
        }
        self.waits.lock().hold(&self.plugin, self.id, callee)?;
        Ok(Some(Waiting { waiter: self.clone(), callee: callee.clone() }))
    }
}

/// An instance that may take from its plugin's mailbox.
pub struct Taker {
    waiter: Waiter,
    takes: bool,
}

impl Taker {
    pub fn set(&mut self, takes: bool) {
        if std::mem::replace(&mut self.takes, takes) == takes {
            return;
        }
        let Waiter { waits, plugin, id } = &self.waiter;
        let mut state = waits.lock();
        let takers = state.takers.entry(plugin.clone()).or_default();
        if takes {
            takers.push(*id);
        } else {
            takers.retain(|taker| taker != id);
            if takers.is_empty() {
                state.takers.remove(plugin);
            }
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// A wait that goes on.
pub struct Waiting {
    waiter: Waiter,
    callee: PluginName,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiter.waits.lock().release(self.waiter.id, &self.callee);
    }
}

impl State {
    fn hold(&mut self, caller: &PluginName, id: InstanceId, callee: &PluginName) -> Result<(), Fault> {
        self.held.entry(id).or_default().push(callee.clone());
        let takes = self.takers.get(caller).is_some_and(|takers| takers.contains(&id));
        // Most calls are to plugins that can take them.
        if takes && self.all_held(callee) && self.is_stuck(caller) {
            let fault = self.cycle(caller, callee);
            self.release(id, callee);
            return Err(fault);
        }
        Ok(())
    }

    fn release(&mut self, id: InstanceId, callee: &PluginName) {
        let Some(waits) = self.held.get_mut(&id) else { return };
        if let Some(index) = waits.iter().position(|wait| wait == callee) {
            waits.swap_remove(index);
        }
        if waits.is_empty() {
            self.held.remove(&id);
        }
    }

    /// Whether a plugin has instances, all of which wait. Without any, one may come.
    fn all_held(&self, plugin: &PluginName) -> bool {
        self.takers.get(plugin).is_some_and(|takers| takers.iter().all(|id| self.held.contains_key(id)))
    }

    /// Whether none of a plugin's instances will ever be free: each waits for plugins of which the same is true. Found from
    /// above: of all that might be stuck, those go that wait for one that is not.
    fn is_stuck(&self, plugin: &PluginName) -> bool {
        let mut stuck: HashSet<&PluginName> = self.takers.keys().filter(|plugin| self.all_held(plugin)).collect();
        loop {
            let gets_free = |plugin: &&&PluginName| {
                let takers = self.takers.get(**plugin).into_iter().flatten();
                let mut waits = takers.filter_map(|id| self.held.get(id));
                waits.any(|waits| waits.iter().any(|callee| !stuck.contains(callee)))
            };
            let free: Vec<&PluginName> = stuck.iter().filter(gets_free).copied().collect();
            if free.is_empty() {
                return stuck.contains(plugin);
            }
            free.iter().for_each(|plugin| _ = stuck.remove(plugin));
        }
    }

    fn cycle(&self, caller: &PluginName, callee: &PluginName) -> Fault {
        let mut chain = vec![caller, callee];
        let next = |plugin: &PluginName| self.takers.get(plugin)?.iter().find_map(|id| self.held.get(id)?.first());
        while let Some(last) = chain.last().filter(|last| **last != caller)
            && let Some(next) = next(last)
        {
            let again = chain[1..].contains(&next);
            chain.push(next);
            if again {
                break;
            }
        }
        let chain: Vec<&str> = chain.into_iter().map(PluginName::as_str).collect();
        let message = format!(
            "{callee} waits for {caller} already, and neither could serve the other: {}; try again, or use async functions",
            chain.join(" → ")
        );
        Fault::new(ErrorCode::Cycle, message).with("chain", chain).retry_after_ms(RETRY_AFTER_MS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use midplane_model::Principal;

    use super::*;

    struct World(Arc<Waits>);

    impl World {
        fn new() -> Self {
            Self(Arc::default())
        }

        /// An instance that takes from the mailbox of a plugin.
        fn instance(&self, plugin: &str) -> (Waiter, Taker) {
            let waiter = self.0.waiter(&PluginName::parse(plugin).unwrap());
            let mut taker = waiter.taker();
            taker.set(true);
            (waiter, taker)
        }
    }

    fn wait(waiter: &Waiter, callee: &str) -> Result<Option<Waiting>, Fault> {
        let context = CallContext::new("r", Arc::new(Principal::owner()), Duration::from_secs(1));
        waiter.wait_for(&PluginName::parse(callee).unwrap(), &context)
    }

    fn chain(refused: Result<Option<Waiting>, Fault>) -> Vec<String> {
        let fault = refused.err().expect("a cycle");
        assert_eq!(fault.code, ErrorCode::Cycle);
        serde_json::from_value(fault.details["chain"].clone()).unwrap()
    }

    #[test]
    fn the_one_who_closes_a_circle_is_refused_and_the_others_go_on() {
        let world = World::new();
        let ((a, _at), (b, _bt), (c, _ct)) = (world.instance("a"), world.instance("b"), world.instance("c"));
        let (_first, second) = (wait(&a, "b").unwrap(), wait(&b, "c").unwrap());
        assert_eq!(chain(wait(&c, "a")), ["c", "a", "b", "c"]);
        // What was refused is no wait.
        drop(second);
        let _again = wait(&b, "c").unwrap();
        assert_eq!(chain(wait(&c, "b")), ["c", "b", "c"]);
    }

    #[test]
    fn a_plugin_with_an_instance_to_spare_makes_nobody_wait_for_ever() {
        let world = World::new();
        let ((a, _at), (b, _bt)) = (world.instance("a"), world.instance("b"));
        let (spare, mut spare_takes) = world.instance("a");
        let _first = wait(&a, "b").unwrap();
        let back = wait(&b, "a").unwrap();
        // Now it would be the second one that leaves nobody.
        assert_eq!(chain(wait(&spare, "b")), ["a", "b", "a"]);
        drop(back);
        spare_takes.set(false);
        assert_eq!(chain(wait(&b, "a")), ["b", "a", "b"]);
    }

    #[test]
    fn an_instance_that_takes_nothing_or_waits_for_one_that_will_be_free_is_let_through() {
        let world = World::new();
        let ((a, mut at), (b, _bt), (_c, _ct)) = (world.instance("a"), world.instance("b"), world.instance("c"));
        let both = (wait(&a, "b").unwrap(), wait(&a, "c").unwrap());
        // `a` waits for two calls, and one of them ends.
        let back = wait(&b, "a").unwrap();
        drop((both, back));
        let _first = wait(&a, "b").unwrap();
        // Its successor takes what comes for `a`.
        at.set(false);
        let _back = wait(&b, "a").unwrap();
        let _nobody = wait(&b, "not-there").unwrap();
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let world = World::new();
        let (a, at) = world.instance("a");
        drop(wait(&a, "b"));
        drop(at);
        let state = world.0.lock();
        assert!(state.takers.is_empty() && state.held.is_empty());
    }
}
