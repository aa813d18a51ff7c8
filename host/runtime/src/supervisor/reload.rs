//! The reload: the steps of [`crate::life::Reload`], done. Up to the swap by a task of its own, the swap by the supervisor.

use std::sync::Arc;

use midplane_model::{ErrorCode, Fault, PluginName, limits::PROBATION};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Supervisor, Worked,
    handle::Asked,
    plugin::{Kind, Probation, Replacement},
    running::{Birth, Generation, Running, Workshop, hand_over, restore_all, start_all},
};
use crate::{
    actor::Control,
    bindings::{Reason, Snapshot},
    life::{Came, Happened, Reload, State, Step},
    package::{LoadError, Package},
    saved::Saved,
};

/// A new generation that is ready for the swap.
pub struct Ready {
    reload: Reload,
    instances: Vec<Running>,
    saved: Arc<Saved>,
}

/// The generation that is to be replaced, as the task sees it.
struct Old {
    controls: Vec<mpsc::Sender<Control>>,
    saved: Arc<Saved>,
    stateful: bool,
}

/// Everything up to the swap. A failure leads back to the old generation, which then has the mailbox again.
async fn replace(workshop: Workshop, old: Old, package: Arc<Package>, birth: Birth) -> Result<Ready, LoadError> {
    let mut reload = Reload::new(old.stateful && package.stateful);
    let saved = Arc::new(Saved::default());
    let (mut instances, mut state, mut failure) = (Vec::new(), None, None);
    loop {
        let done = match reload.step() {
            Step::Prepare => {
                let made = workshop.make_all(&package, &saved, package.manifest.limits.instances).await;
                made.map(|made| instances = made)
            }
            Step::DrainAndSave => hand_over(&old.controls, true).await.map(|snapshot| state = snapshot),
            Step::Restore => restore(&instances, state.take().or_else(|| old.saved.get()), &saved).await,
            Step::Start => start_all(&instances, &birth).await,
            Step::TakeMailbox => hand_over(&old.controls, false).await.map(drop),
            Step::Abandon { give_back } => {
                if give_back {
                    super::serve(&old.controls, workshop.slot.mailbox());
                }
                return Err(failure.unwrap_or(LoadError::Gone));
            }
            Step::Swap | Step::Watch | Step::Settle | Step::RollBack => return Ok(Ready { reload, instances, saved }),
        };
        let taking = matches!(reload.step(), Step::DrainAndSave | Step::TakeMailbox);
        reload.after(match done {
            Ok(()) => Came::Done,
            Err(LoadError::Gone) if taking => Came::OldGone,
            Err(error) => {
                failure = Some(error);
                Came::Failed
            }
        });
    }
}

/// The state just saved; if the old generation is gone, its last checkpoint.
async fn restore(instances: &[Running], state: Option<Snapshot>, saved: &Saved) -> Result<(), LoadError> {
    let Some(state) = state else { return Ok(()) };
    restore_all(instances, &state).await?;
    saved.keep(state);
    Ok(())
}

impl Supervisor {
    /// Puts other files into a plugin that nothing is being done for, whether it serves or not.
    pub(super) fn replace(&mut self, name: &PluginName, with: Replacement, asked: Vec<Asked>) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if !matches!(plugin.life.state(), State::Running | State::Degraded) {
            plugin.source = with.source;
            plugin.package = with.package;
            plugin.refused = None;
            self.register(name);
            self.apply(name, Happened::Found(with.why));
            self.wait_for_work(name, asked);
            return;
        }
        if let Err(error) = self.check_needs(name, &with.package) {
            self.not_replaced(name, &with.source.describe(), &error, asked);
            return;
        }
        self.take_office(name, &with.package);
        self.settle(name);
        self.apply(name, Happened::ReloadBegun(with.why.clone()));
        let Some(plugin) = self.plugins.get(name) else { return };
        let Some(generation) = &plugin.generation else { return };
        let old = Old {
            controls: generation.controls(),
            saved: generation.saved.clone(),
            stateful: generation.package.stateful,
        };
        let birth = Birth {
            reason: Reason::Reload(generation.package.manifest.version.to_string()),
            generation: plugin.generations + 1,
        };
        let task = replace(self.workshop(plugin), old, with.package.clone(), birth);
        self.work(name, Kind::Replace(with), async move { Worked::Replaced(task.await) });
        self.wait_for_work(name, asked);
    }

    /// The task of a reload is done: the swap, or back to what was.
    pub(super) fn replaced(
        &mut self,
        name: &PluginName,
        with: Replacement,
        result: Result<Ready, LoadError>,
        asked: Vec<Asked>,
    ) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let ready = match result {
            Ok(ready) if ready.instances.iter().any(Running::is_gone) => Err(LoadError::Gone),
            other => other,
        };
        match ready {
            Ok(ready) => {
                self.swap(name, with, ready);
                self.answer(name, asked);
            }
            Err(error) => {
                // The task has given the mailbox back, unless it was ended before it could.
                let generation = plugin.generation.as_ref();
                super::serve(&generation.map(Generation::controls).unwrap_or_default(), plugin.slot.mailbox());
                let left = plugin.left();
                plugin.end_generation_if_empty();
                self.not_replaced(name, &with.source.describe(), &error, asked);
                self.apply(name, Happened::NotReloaded { reason: format!("goes on as it was: {error}"), left });
                self.refill(name);
            }
        }
    }

    fn swap(&mut self, name: &PluginName, with: Replacement, ready: Ready) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let Ready { mut reload, instances, saved } = ready;
        let old = plugin.generation.take();
        let step = reload.after(if old.as_ref().is_some_and(|old| !old.instances.is_empty()) {
            Came::Done
        } else {
            Came::OldGone
        });
        let source = std::mem::replace(&mut plugin.source, with.source);
        plugin.refused = None;
        plugin.slot.metrics.reloads.add(1);
        plugin.generations += 1;
        let number = plugin.generations;
        plugin.probation = old.filter(|_| step == Step::Watch).map(|old| Probation {
            reload,
            old,
            source,
            until: Instant::now() + PROBATION,
        });
        self.put_in_charge(name, Generation { number, package: with.package, instances, saved });
        self.remember(name);
        self.apply(name, Happened::Reloaded(with.why));
    }

    fn not_replaced(&mut self, name: &PluginName, source: &str, error: &LoadError, asked: Vec<Asked>) {
        self.announce_failure(source, Some(name), error);
        let message = format!("{name} was not replaced: {error}");
        let fault = Fault::new(ErrorCode::PluginFailed, message).with("plugin", name.as_str());
        for asked in asked {
            // Who asked may be gone.
            _ = asked.send(Err(fault.clone()));
        }
    }
}
