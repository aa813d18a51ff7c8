//! Making a generation, starting it, putting it in charge, and what happens when it dies.

use std::{sync::Arc, time::Instant};

use midplane_model::{Fault, PluginName};
use midplane_router::{Method, Owner, interface_methods};
use tokio::sync::{mpsc, oneshot};

use super::{
    BACKOFF, Command, RESTARTS, Summary, Supervisor, no_plugin,
    plugin::{Plugin, Running, Shown, Source},
};
use crate::{
    actor::{self, Control, Died, Mailbox},
    bindings::{Ending, Reason, Snapshot},
    inbox::Inbox,
    instance::Instance,
    link,
    metrics::metered,
    package::{LoadError, Package},
    routes,
    slot::{Message, Slot, SlotService, State, Status},
};

/// The reason of a plugin that `plugin.disable` keeps from running.
const BY_REQUEST: &str = "disabled by request";

impl Supervisor {
    /// Takes over a package for the first time: the plugin gets its address, and starts if it can.
    pub(super) async fn add(&mut self, source: Source, package: Arc<Package>) {
        let name = package.manifest.name.clone();
        let status = Status {
            state: State::Starting,
            reason: None,
            version: package.manifest.version.to_string(),
            generation: 0,
            deadline: package.manifest.limits.deadline,
        };
        let (slot, mailbox) = Slot::new(name.clone(), package.manifest.limits.queue, status);
        let inbox = Inbox::start(self.host.clone(), slot.clone());
        let plugin = Plugin {
            slot,
            inbox,
            source,
            package,
            running: None,
            mailbox: Some(mailbox),
            failures: Default::default(),
        };
        self.plugins.insert(name.clone(), plugin);
        self.show(&name);
        self.bring_up(&name, Reason::Fresh).await;
    }

    /// Starts a plugin that nobody serves now. Says what it waits for, or why it failed.
    pub(super) async fn bring_up(&mut self, name: &PluginName, reason: Reason) {
        let Some(plugin) = self.plugins.get(name) else { return };
        if !self.lock.is_enabled(name) {
            self.set_state(name, State::Disabled, Some(BY_REQUEST));
            return;
        }
        let package = plugin.package.clone();
        self.set_state(name, State::Starting, None);
        let started = match self.check_needs(&package) {
            Ok(()) => self.start_generation(name, &package, reason).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(running) => {
                let mailbox = self.plugins.get_mut(name).and_then(|plugin| plugin.mailbox.take());
                self.put_in_charge(name, package, running, mailbox).await;
            }
            Err(error) => {
                let state = if error.is_waiting() { State::Waiting } else { State::Failed };
                if state == State::Failed {
                    self.announce_failure(&self.source(name), Some(name), &error);
                }
                self.set_state(name, state, Some(&error.to_string()));
                self.refuse_waiting_calls(name);
            }
        }
    }

    /// Whether everything the package imports is served, in a type that fits.
    pub(super) fn check_needs(&self, package: &Package) -> Result<(), LoadError> {
        for (name, range) in &package.manifest.dependencies {
            let served = self.plugins.get(name).is_some_and(|plugin| {
                plugin.slot.status().state == State::Running && range.matches(&plugin.package.manifest.version)
            });
            if !served {
                return Err(LoadError::MissingDependency { name: name.to_string(), range: range.to_string() });
            }
        }
        for interface in &package.needs {
            link::check(&self.host, interface).map_err(|reason| match reason {
                None => LoadError::Missing { interface: interface.id.to_string() },
                Some(reason) => LoadError::Incompatible { interface: interface.id.to_string(), reason },
            })?;
        }
        Ok(())
    }

    /// Makes an instance and starts it. It serves nothing yet.
    async fn start_generation(
        &self,
        name: &PluginName,
        package: &Arc<Package>,
        reason: Reason,
    ) -> Result<Running, LoadError> {
        let running = self.prepare(name, package).await?;
        finish_start(running, reason, None).await
    }

    /// Makes an instance and its task; neither restored nor started.
    pub(super) async fn prepare(&self, name: &PluginName, package: &Arc<Package>) -> Result<Running, LoadError> {
        let plugin = self.plugins.get(name).ok_or(LoadError::Gone)?;
        let generation = plugin.slot.status().generation + 1;
        let instance = Instance::new(&self.host, package, &plugin.slot, plugin.inbox.commands.clone()).await?;
        let (control, orders) = mpsc::channel(4);
        let (commands, name, slot) = (self.commands.clone(), name.clone(), plugin.slot.clone());
        let task = tokio::spawn(async move {
            let died = metered(slot, actor::run(instance, orders)).await;
            if let (Some(died), Some(commands)) = (died, commands.upgrade()) {
                // The supervisor is stopping if this fails, and needs no news.
                _ = commands.send(Command::Died { name, generation, died }).await;
            }
        });
        Ok(Running { generation, control, task })
    }

    /// The swap: methods, typed offers and mailbox go to the new generation.
    pub(super) async fn put_in_charge(
        &mut self,
        name: &PluginName,
        package: Arc<Package>,
        running: Running,
        mailbox: Option<Mailbox>,
    ) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        plugin.slot.update(|status| {
            status.generation += 1;
            status.version = package.manifest.version.to_string();
            status.deadline = package.manifest.limits.deadline;
        });
        plugin.package = package.clone();
        self.host.parts.router.register(&Owner::Plugin(name.clone()), methods(&plugin.slot, &package));
        self.host.offers.replace(&plugin.slot, &package.services);
        if let Some(mailbox) = mailbox {
            // A generation that died since reports so itself; the mailbox comes back with the report or is lost with it.
            _ = running.control.send(Control::Serve(mailbox)).await;
        }
        plugin.running = Some(running);
        plugin.slot.set_newer(None);
        self.remember(name).await;
        self.host.optimiser.want(&package);
        self.show(name);
        self.set_state(name, State::Running, None);
    }

    /// A generation failed while serving: its calls are answered, the mailbox is back, a restart is due.
    pub(super) fn died(&mut self, name: &PluginName, generation: u64, died: Died) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if plugin.slot.status().generation != generation {
            // An old generation that was only finishing its last calls.
            return;
        }
        plugin.running = None;
        plugin.mailbox = died.mailbox;
        plugin.slot.log("error", &format!("failed: {}", died.reason));
        let now = Instant::now();
        plugin.failures.retain(|at| now.duration_since(*at) < RESTARTS.1);
        plugin.failures.push_back(now);
        let count = plugin.failures.len();
        if count > RESTARTS.0 {
            let reason = format!(
                "failed {count} times in {} s, last: {}; plugin.enable starts it again",
                RESTARTS.1.as_secs(),
                died.reason
            );
            self.host.parts.processes.abandon(name);
            self.withdraw(name);
            self.set_state(name, State::Disabled, Some(&reason));
            self.refuse_waiting_calls(name);
        } else {
            let doublings = u32::try_from(count - 1).unwrap_or(u32::MAX).min(16);
            let pause = (BACKOFF.0 * 2u32.pow(doublings)).min(BACKOFF.1);
            self.retries.insert(tokio::time::Instant::now() + pause, name.clone());
            self.set_state(name, State::Backoff, Some(&died.reason));
        }
    }

    /// After the back-off.
    pub(super) async fn restart(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let status = plugin.slot.status();
        if status.state == State::Backoff {
            plugin.slot.metrics.restarts.add(1);
            self.bring_up(name, Reason::Restart(status.reason.unwrap_or_default())).await;
        }
    }

    pub(super) async fn enable(&mut self, name: &PluginName, on: bool) -> Result<Summary, Fault> {
        let plugin = self.plugins.get_mut(name).ok_or_else(|| no_plugin(name))?;
        if !on {
            self.stop(name, Ending::Disabled, BY_REQUEST).await;
        } else if plugin.running.is_none() {
            plugin.failures.clear();
            self.bring_up(name, Reason::Fresh).await;
            self.wake_waiting().await;
        }
        self.summary(name)
    }

    pub(super) fn summary(&self, name: &PluginName) -> Result<Summary, Fault> {
        let plugin = self.plugins.get(name).ok_or_else(|| no_plugin(name))?;
        Ok(shown(plugin).summary())
    }

    /// Stops the generation that serves; the address stays.
    pub(super) async fn stop(&mut self, name: &PluginName, ending: Ending, reason: &str) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if let Some(running) = plugin.running.take() {
            plugin.mailbox = take_mailbox(&running).await;
            retire(running, ending).await;
        }
        plugin.slot.visits.end_all();
        self.host.parts.processes.end_all(name).await;
        self.withdraw(name);
        self.set_state(name, State::Disabled, Some(reason));
        self.refuse_waiting_calls(name);
    }

    /// Stops a plugin and forgets it.
    pub(super) async fn unload(&mut self, name: &PluginName, ending: Ending, reason: &str) {
        self.stop(name, ending, reason).await;
        if let Some(plugin) = self.plugins.remove(name) {
            plugin.inbox.close().await;
        }
        self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(name);
    }

    /// Methods and offers of a plugin that nobody serves any more.
    fn withdraw(&self, name: &PluginName) {
        self.host.parts.router.unregister(&Owner::Plugin(name.clone()));
        if let Some(plugin) = self.plugins.get(name) {
            self.host.offers.replace(&plugin.slot, &[]);
        }
    }

    /// Starts what waited for another plugin, until nothing more can start.
    pub(super) async fn wake_waiting(&mut self) {
        loop {
            let ready = self.plugins.iter().find(|(_, plugin)| {
                plugin.slot.status().state == State::Waiting && self.check_needs(&plugin.package).is_ok()
            });
            let Some(name) = ready.map(|(name, _)| name.clone()) else { return };
            self.bring_up(&name, Reason::Fresh).await;
        }
    }

    pub(super) fn set_state(&self, name: &PluginName, to: State, reason: Option<&str>) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let before = plugin.slot.update(|status| {
            status.state = to;
            status.reason = reason.map(str::to_owned);
        });
        if before.state != to || before.reason.as_deref() != reason {
            self.announce(name, before.state, to, reason);
        }
    }

    fn source(&self, name: &PluginName) -> String {
        self.plugins.get(name).map(|plugin| plugin.source.describe()).unwrap_or_default()
    }

    /// Calls that came while there was hope are answered now that there is none.
    fn refuse_waiting_calls(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let fault = plugin.slot.unavailable(&plugin.slot.status());
        while let Some(Ok(message)) = plugin.mailbox.as_mut().map(mpsc::Receiver::try_recv) {
            match message {
                Message::Call { reply, .. } => _ = reply.send(Err(fault.clone())),
                Message::Typed { reply, .. } => _ = reply.send(Err(fault.clone())),
                Message::Event(_) => {}
            }
        }
    }

    pub(super) fn show(&self, name: &PluginName) {
        if let Some(plugin) = self.plugins.get(name) {
            let mut table = self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            table.insert(name.clone(), Arc::new(shown(plugin)));
        }
    }
}

fn shown(plugin: &Plugin) -> Shown {
    Shown {
        slot: plugin.slot.clone(),
        inbox: plugin.inbox.commands.clone(),
        package: plugin.package.clone(),
        source: plugin.source.clone(),
    }
}

/// Restores and starts a prepared generation; it ends when that fails.
pub async fn finish_start(running: Running, reason: Reason, snapshot: Option<Snapshot>) -> Result<Running, LoadError> {
    let (done, started) = oneshot::channel();
    let generation = running.generation;
    _ = running.control.send(Control::Start { reason, generation, snapshot, done }).await;
    match started.await {
        Ok(Ok(())) => Ok(running),
        Ok(Err(error)) => {
            // Dropping the control ends the task, which drops the store.
            drop(running.control);
            _ = running.task.await;
            Err(error)
        }
        Err(_) => Err(LoadError::Gone),
    }
}

/// Asks for the mailbox without its state; none if the generation is gone.
async fn take_mailbox(running: &Running) -> Option<Mailbox> {
    let (done, answer) = oneshot::channel();
    running.control.send(Control::HandOver { save: false, done }).await.ok()?;
    answer.await.ok()?.ok()?.mailbox
}

/// Lets a generation finish what is inside, stop and end; after the drain time it is dropped as it is.
pub async fn retire(running: Running, ending: Ending) {
    let Running { control, mut task, .. } = running;
    let (done, stopped) = oneshot::channel();
    let ended = async {
        if control.send(Control::Stop { ending, done }).await.is_ok() {
            _ = stopped.await;
        }
        drop(control);
        _ = (&mut task).await;
    };
    if tokio::time::timeout(midplane_model::limits::RELOAD_DRAIN_MAX, ended).await.is_err() {
        task.abort();
        _ = task.await;
    }
}

fn methods(slot: &Arc<Slot>, package: &Package) -> Vec<Method> {
    let service: Arc<dyn midplane_router::Service> = Arc::new(SlotService(slot.clone()));
    let owner = Owner::Plugin(slot.name.clone());
    let of = |interface: &Arc<midplane_model::schema::Interface>| {
        let (owner, service, interface) = (owner.clone(), service.clone(), interface.clone());
        interface_methods(&slot.name.prefix(), &interface).into_iter().map(move |(name, function)| Method {
            scope: package.manifest.scopes.get(&*function.name.json).cloned().unwrap_or(midplane_model::Scope::Write),
            name,
            owner: owner.clone(),
            routes: routes::of(&package.manifest.routes, &interface, &function),
            interface: interface.clone(),
            function,
            service: service.clone(),
        })
    };
    package.services.iter().flat_map(of).collect()
}
