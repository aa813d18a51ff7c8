//! Which generation serves a plugin: it is started, put in charge, mended when an instance fails, and ended.

use std::{collections::VecDeque, sync::Arc};

use midplane_model::{PluginName, Scope, limits::HEALTH_INTERVAL_SOON, schema::Interface};
use midplane_router::{Method, Owner, Service, interface_methods};
use tokio::time::Instant;

use super::{
    Supervisor, Worked,
    handle::{Asked, no_plugin},
    needs::unmet,
    plugin::{Errand, Kind, Plugin, Source},
    running::{Birth, Generation, Running},
    work::{BY_REQUEST, refuse},
};
use crate::{
    bindings::{Ending, Reason},
    inbox::Inbox,
    life::{Happened, Life, State},
    package::{LoadError, Package},
    routes,
    saved::Saved,
    slot::{Slot, SlotService, Status},
    tools,
};

impl Supervisor {
    /// Takes over a package for the first time: the plugin gets its address, and starts if it can.
    pub(super) fn add(&mut self, source: Source, package: Arc<Package>, asked: Vec<Asked>) {
        let (name, life) = (package.manifest.name.clone(), Life::new());
        let status = Status {
            state: life.state(),
            reason: life.reason().to_owned(),
            version: package.manifest.version.to_string(),
            generation: 0,
            deadline: package.manifest.limits.deadline,
        };
        let slot = Slot::new(name.clone(), package.manifest.limits.queue, status);
        let found = format!("found: {}", source.describe());
        let plugin = Plugin {
            inbox: Inbox::start(self.host.clone(), slot.clone()),
            slot,
            source,
            package,
            life,
            generation: None,
            generations: 0,
            probation: None,
            refused: None,
            upgrade: None,
            saved: None,
            work: None,
            errands: VecDeque::new(),
            restart_at: None,
            health_at: Instant::now(),
        };
        self.plugins.insert(name.clone(), plugin);
        self.register(&name);
        let wanted = self.lock.is_enabled(&name);
        self.apply(&name, if wanted { Happened::Found(found) } else { Happened::Disabled(BY_REQUEST.into()) });
        self.wait_for_work(&name, asked);
    }

    /// Makes the instances that are missing, unless a plugin that has none lacks something that it needs.
    pub(super) fn begin_start(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get(name) else { return };
        if plugin.generation.is_none()
            && let Err(error) = self.check_needs(name, &plugin.package)
        {
            self.apply(name, unmet(&error));
            return;
        }
        let package = plugin.package.clone();
        self.take_office(name, &package);
        let Some(plugin) = self.plugins.get(name) else { return };
        let saved = match &plugin.generation {
            Some(generation) => generation.saved.clone(),
            None => plugin.saved.clone().unwrap_or_default(),
        };
        let birth = Birth {
            reason: plugin.life.failure().map_or(Reason::Fresh, |failure| Reason::Restart(failure.to_owned())),
            generation: plugin.generation.as_ref().map_or(plugin.generations + 1, |generation| generation.number),
        };
        if plugin.life.failure().is_some() {
            plugin.slot.metrics.restarts.add(1);
        }
        let (workshop, missing) = (self.workshop(plugin), plugin.missing());
        let kind = Kind::Start { saved: saved.clone() };
        self.work(
            name,
            kind,
            async move { Worked::Started(workshop.start_all(&package, &saved, missing, &birth).await) },
        );
    }

    /// Ends what serves and what is parked, in the order in which they came.
    pub(super) fn stop(&mut self, name: &PluginName, kind: Kind) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        plugin.restart_at = None;
        plugin.slot.visits.end_all();
        // One that only waits for another goes on later from where it was.
        let goes_on = plugin.life.state() == State::Waiting;
        let inbox = (!goes_on).then(|| plugin.empty_inbox(&self.host));
        let parked = plugin.probation.take().map(|probation| probation.old);
        let Some(generation) = plugin.generation.take() else {
            self.tasks.spawn(close(inbox));
            self.show(name);
            return;
        };
        plugin.saved = goes_on.then(|| generation.saved.clone());
        let ending = match kind {
            Kind::Remove => Ending::Removed,
            _ if goes_on => Ending::Waiting,
            _ => Ending::Disabled,
        };
        let (host, of) = (self.host.clone(), name.clone());
        self.work(name, kind, async move {
            if let Some(parked) = parked {
                parked.retire(Ending::Reload).await;
            }
            let state = generation.retire_with_state(ending).await;
            close(inbox).await;
            if !goes_on {
                host.parts.processes.end_all(&of).await;
            }
            Worked::Stopped(state.filter(|_| goes_on))
        });
    }

    pub(super) fn remove(&mut self, name: &PluginName) {
        self.note(name, Happened::Disabled("its files were removed".into()));
        self.stop(name, Kind::Remove);
        if self.plugins.get(name).is_some_and(|plugin| plugin.work.is_none()) {
            self.forget(name);
        }
    }

    /// The end of a plugin's address. What came meanwhile begins anew.
    pub(super) fn forget(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.remove(name) else { return };
        self.host.parts.router.unregister(&Owner::Plugin(name.clone()));
        self.table.forget(name);
        self.tasks.spawn(plugin.inbox.close());
        for errand in plugin.errands {
            match errand {
                Errand::Replace { with, asked } => self.take(with.source, with.package, asked),
                errand => refuse(errand, no_plugin, name),
            }
        }
        for source in self.table.broken_named(name) {
            self.read(&Source::Folder(source), None);
        }
    }

    pub(super) fn started(&mut self, name: &PluginName, saved: Arc<Saved>, result: Result<Vec<Running>, LoadError>) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        match result {
            Ok(instances) => {
                match &mut plugin.generation {
                    Some(generation) => {
                        generation.instances.extend(instances);
                        super::serve(&generation.controls(), plugin.slot.mailbox());
                    }
                    None => {
                        plugin.generations += 1;
                        let (number, package) = (plugin.generations, plugin.package.clone());
                        self.put_in_charge(name, Generation { number, package, instances, saved });
                    }
                }
                self.remember(name);
                self.apply(name, Happened::Started("started".into()));
            }
            Err(error) => {
                let source = plugin.source.describe();
                self.announce_failure(&source, Some(name), &error);
                self.apply(name, Happened::NotStarted(error.to_string()));
            }
        }
    }

    /// The swap: methods, typed offers and mailbox go to this generation.
    pub(super) fn put_in_charge(&mut self, name: &PluginName, generation: Generation) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let manifest = &generation.package.manifest;
        plugin.slot.update(|status| {
            status.generation = generation.number;
            status.version = manifest.version.to_string();
            status.deadline = manifest.limits.deadline;
        });
        plugin.slot.set_newer(None);
        self.host.optimiser.want(&generation.package);
        plugin.package = generation.package.clone();
        plugin.health_at = Instant::now() + HEALTH_INTERVAL_SOON;
        self.host.offers.replace(&plugin.slot, &generation.package.services);
        super::serve(&generation.controls(), plugin.slot.mailbox());
        plugin.generation = Some(generation);
        self.register(name);
    }

    /// An instance failed while it served; everybody inside has been answered.
    pub(super) fn died(&mut self, name: &PluginName, id: u64, reason: &str) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let gone = |instances: &mut Vec<Running>| {
            let before = instances.len();
            instances.retain(|instance| instance.id != id);
            instances.len() != before
        };
        if let Some(probation) = &mut plugin.probation
            && gone(&mut probation.old.instances)
        {
            if probation.old.instances.is_empty() && plugin.is_idle() {
                self.settle(name);
            }
            return;
        }
        if !plugin.generation.as_mut().is_some_and(|generation| gone(&mut generation.instances)) {
            // One that was only finishing its last calls.
            return;
        }
        plugin.slot.log("error", &format!("failed: {reason}"));
        let reloading = plugin.life.state() == State::Reloading;
        if plugin.probation.is_some() && !reloading {
            return self.roll_back(name, reason);
        }
        if !reloading {
            let left = plugin.left();
            plugin.end_generation_if_empty();
            self.apply(name, Happened::Died { reason: reason.to_owned(), left });
        }
        self.show(name);
    }

    /// Instances that failed while something else was done come back, too.
    pub(super) fn refill(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if plugin.generation.is_some() && plugin.missing() > 0 {
            let left = plugin.left();
            self.apply(name, Happened::Died { reason: "an instance failed meanwhile".into(), left });
        }
    }

    /// The methods of the plugin, whether it serves now or not: a call while it does not says why.
    pub(super) fn register(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get(name) else { return };
        plugin.slot.mailbox().resize(plugin.package.manifest.limits.queue);
        self.host.parts.router.register(&Owner::Plugin(name.clone()), methods(&plugin.slot, &plugin.package));
        self.table.show(plugin);
    }
}

async fn close(inbox: Option<Inbox>) {
    if let Some(inbox) = inbox {
        inbox.close().await;
    }
}

fn methods(slot: &Arc<Slot>, package: &Package) -> Vec<Method> {
    let service: Arc<dyn Service> = Arc::new(SlotService(slot.clone()));
    let owner = Owner::Plugin(slot.name.clone());
    let of = |interface: &Arc<Interface>| {
        let (owner, service, interface) = (owner.clone(), service.clone(), interface.clone());
        interface_methods(&slot.name.prefix(), &interface).into_iter().map(move |(name, function)| Method {
            scope: package.manifest.scopes.get(&*function.name.json).cloned().unwrap_or(Scope::Write),
            name,
            owner: owner.clone(),
            routes: routes::of(&package.manifest.routes, &interface, &function),
            tool: tools::of(&package.manifest.tools, &interface, &function),
            interface: interface.clone(),
            function,
            service: service.clone(),
        })
    };
    package.services.iter().flat_map(of).collect()
}
