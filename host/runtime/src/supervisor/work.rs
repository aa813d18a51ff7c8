//! What is done for one plugin, one thing at a time, and what waits for that.

use std::sync::Arc;

use midplane_model::{Fault, PluginName, limits::PLUGIN_REQUESTS_MAX};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Done, Supervisor, Worked,
    handle::{Asked, no_plugin, too_many_wait},
    plugin::{Errand, Kind, Plugin, Replacement, Work},
    running::Workshop,
};
use crate::{
    life::{Happened, State, Then},
    package::{LoadError, Package},
};

/// The reason of a plugin that `plugin.disable` keeps from running.
pub const BY_REQUEST: &str = "disabled by request";

impl Supervisor {
    pub(super) fn enable(&mut self, name: &PluginName, on: bool, asked: Asked) {
        self.errand(name, if on { Errand::Enable(asked) } else { Errand::Disable(asked) });
    }

    /// Does an errand now, or when what is being done for the plugin is over.
    pub(super) fn errand(&mut self, name: &PluginName, errand: Errand) {
        let Some(plugin) = self.plugins.get_mut(name) else {
            refuse(errand, no_plugin, name);
            return;
        };
        if plugin.errands.len() >= PLUGIN_REQUESTS_MAX && !errand.asked().is_empty() {
            refuse(errand, too_many_wait, name);
            return;
        }
        if matches!(errand, Errand::Disable(_) | Errand::Remove(_))
            && let Some(work) = &plugin.work
        {
            // A start that takes its time is not waited for.
            work.cancel.cancel();
        }
        plugin.errands.push_back(errand);
        self.advance(name);
    }

    fn advance(&mut self, name: &PluginName) {
        while let Some(plugin) = self.plugins.get_mut(name)
            && plugin.work.is_none()
            && let Some(errand) = plugin.errands.pop_front()
        {
            match errand {
                Errand::Replace { with, asked } => self.replace(name, with, asked),
                Errand::Enable(asked) => {
                    if plugin.life.state() == State::Disabled {
                        // Whoever disabled it may have had enough of its state, too.
                        plugin.saved = None;
                    }
                    self.apply(name, Happened::Enabled("enabled by request".into()));
                    self.wait_for_work(name, vec![asked]);
                }
                Errand::Disable(asked) => {
                    self.apply(name, Happened::Disabled(BY_REQUEST.into()));
                    self.wait_for_work(name, vec![asked]);
                }
                Errand::Remove(asked) => {
                    self.remove(name);
                    self.wait_for_work(name, asked.into_iter().collect());
                }
            }
        }
    }

    /// Tells the plugin's life what happened, says what changed, and does what follows.
    pub(super) fn apply(&mut self, name: &PluginName, happened: Happened) {
        match self.note(name, happened) {
            Some(Then::Start) => self.begin_start(name),
            Some(Then::Stop) => self.stop(name, Kind::Stop),
            Some(Then::RestartAfter(pause)) => {
                if let Some(plugin) = self.plugins.get_mut(name) {
                    plugin.restart_at = Some(Instant::now() + pause);
                }
            }
            None => {}
        }
    }

    /// Tells the plugin's life what happened and says what changed; what follows is the caller's.
    pub(super) fn note(&mut self, name: &PluginName, happened: Happened) -> Option<Then> {
        let plugin = self.plugins.get_mut(name)?;
        let outcome = plugin.life.apply(happened, std::time::Instant::now());
        if let Some(change) = &outcome.change {
            plugin.slot.update(|status| {
                status.state = change.to;
                status.reason.clone_from(&change.reason);
            });
            if !plugin.life.is_up() {
                self.host.offers.replace(&plugin.slot, &[]);
            }
            if change.to == State::Disabled && plugin.generation.is_none() {
                self.host.parts.processes.abandon(name);
            }
            if change.to == State::Failed {
                let former = plugin.empty_inbox(&self.host);
                self.tasks.spawn(former.close());
                self.table.show(plugin);
            }
            self.announce(name, change);
        }
        outcome.then
    }

    /// Starts the task that works for a plugin.
    pub(super) fn work(&mut self, name: &PluginName, kind: Kind, task: impl Future<Output = Worked> + Send + 'static) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let cancel = CancellationToken::new();
        // Ending halfway is harmless only where nothing is lost by it: what runs stays with the supervisor.
        let may_end = matches!(kind, Kind::Start { .. } | Kind::Replace(_));
        plugin.work = Some(Work { kind, asked: Vec::new(), cancel: cancel.clone() });
        self.table.show(plugin);
        let (name, lost) = (name.clone(), name.clone());
        let task = async move {
            let worked = tokio::select! {
                worked = task => worked,
                () = cancel.cancelled(), if may_end => Worked::Lost,
            };
            Done::Worked { name, worked }
        };
        self.spawn(task, Done::Worked { name: lost, worked: Worked::Lost });
    }

    /// Answers when the work for the plugin is done; now, if there is none.
    pub(super) fn wait_for_work(&mut self, name: &PluginName, asked: Vec<Asked>) {
        match self.plugins.get_mut(name).and_then(|plugin| plugin.work.as_mut()) {
            Some(work) => work.asked.extend(asked),
            None => self.answer(name, asked),
        }
    }

    pub(super) fn answer(&self, name: &PluginName, asked: Vec<Asked>) {
        for asked in asked {
            // Who asked may be gone.
            _ = asked.send(self.table.summary(name).ok_or_else(|| no_plugin(name)));
        }
    }

    pub(super) fn worked(&mut self, name: &PluginName, worked: Worked) {
        let Some(work) = self.plugins.get_mut(name).and_then(|plugin| plugin.work.take()) else { return };
        let Work { kind, asked, .. } = work;
        match (kind, worked) {
            (Kind::Start { saved }, Worked::Started(result)) => self.started(name, saved, result),
            (Kind::Start { saved }, _) => self.started(name, saved, Err(LoadError::GivenUp)),
            (Kind::Replace(with), Worked::Replaced(result)) => {
                self.replaced(name, with, result, asked);
                return self.idle(name);
            }
            (Kind::Replace(with), _) => {
                self.replaced(name, with, Err(LoadError::GivenUp), asked);
                return self.idle(name);
            }
            (Kind::Stop, worked) => {
                let plugin = self.plugins.get(name);
                if let (Worked::Stopped(Some(state)), Some(saved)) =
                    (worked, plugin.and_then(|plugin| plugin.saved.as_ref()))
                {
                    saved.keep(state);
                }
            }
            (Kind::RollBack { reason }, _) => self.rolled_back(name, &reason),
            (Kind::Remove, _) => self.forget(name),
        }
        self.answer(name, asked);
        self.idle(name);
    }

    fn idle(&mut self, name: &PluginName) {
        self.show(name);
        self.advance(name);
    }

    pub(super) fn tick_plugin(&mut self, name: &PluginName, now: Instant) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if plugin.restart_at.is_some_and(|at| at <= now) {
            plugin.restart_at = None;
            self.apply(name, Happened::Rested);
        } else if plugin.probation.as_ref().is_some_and(|probation| probation.until <= now) {
            let upgrade = plugin.upgrade.take();
            self.settle(name);
            if let Some(package) = upgrade {
                self.upgrade(package);
            }
        } else {
            self.ask_health(name, now);
        }
    }

    pub(super) fn show(&self, name: &PluginName) {
        if let Some(plugin) = self.plugins.get(name) {
            self.table.show(plugin);
        }
    }

    pub(super) fn workshop(&self, plugin: &Plugin) -> Workshop {
        Workshop {
            host: self.host.clone(),
            slot: plugin.slot.clone(),
            inbox: plugin.inbox.commands.clone(),
            commands: self.commands.clone(),
            tasks: self.tasks.clone(),
            ids: self.ids.clone(),
        }
    }

    /// The same files in another form take the place of what runs, but not of what a new generation would be rolled back to.
    pub(super) fn upgrade(&mut self, package: Arc<Package>) {
        let name = package.manifest.name.clone();
        let Some(plugin) = self.plugins.get_mut(&name).filter(|plugin| plugin.target().digest == package.digest) else {
            return;
        };
        if plugin.probation.is_some() || plugin.coming().is_some() {
            plugin.upgrade = Some(package);
            return;
        }
        let with = Replacement { source: plugin.source.clone(), package, why: "optimised code".into() };
        self.errand(&name, Errand::Replace { with, asked: Vec::new() });
    }
}

pub fn refuse(errand: Errand, fault: impl Fn(&PluginName) -> Fault, name: &PluginName) {
    for asked in errand.into_asked() {
        // Who asked may be gone.
        _ = asked.send(Err(fault(name)));
    }
}
