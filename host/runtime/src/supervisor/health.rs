//! Health: instances are asked from time to time, and sooner while there is reason to.

use midplane_model::{
    PluginName,
    limits::{HEALTH_INTERVAL, HEALTH_INTERVAL_SOON},
};
use tokio::{sync::oneshot, time::Instant};

use super::{Done, Supervisor};
use crate::{
    actor::Control,
    life::{Happened, State},
};

impl Supervisor {
    pub(super) fn ask_health(&mut self, name: &PluginName, now: Instant) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let soon = plugin.probation.is_some() || plugin.life.state() == State::Degraded;
        plugin.health_at = now + if soon { HEALTH_INTERVAL_SOON } else { HEALTH_INTERVAL };
        let mut questions = Vec::new();
        for instance in plugin.generation.iter().flat_map(|generation| &generation.instances) {
            let (done, answer) = oneshot::channel();
            // An instance that has not even taken its last orders is asked the next time.
            if instance.control.try_send(Control::Health { done }).is_ok() {
                questions.push((instance.id, answer));
            }
        }
        for (id, answer) in questions {
            let (asked, lost) = (name.clone(), name.clone());
            let task = async move { Done::Health { name: asked, id, answer: answer.await.ok() } };
            self.spawn(task, Done::Health { name: lost, id, answer: None });
        }
    }

    /// The generation is as well as its worst instance.
    pub(super) fn health(&mut self, name: &PluginName, id: u64, answer: Option<Result<(), String>>) {
        let (Some(plugin), Some(answer)) = (self.plugins.get_mut(name), answer) else { return };
        let instances = plugin.generation.as_mut().map(|generation| &mut generation.instances);
        let Some(instances) = instances.filter(|instances| instances.iter().any(|instance| instance.id == id)) else {
            return;
        };
        for instance in instances.iter_mut().filter(|instance| instance.id == id) {
            instance.sick = answer.is_err();
        }
        let all_well = instances.iter().all(|instance| !instance.sick);
        match answer {
            Err(reason) if plugin.probation.is_some() && plugin.is_idle() => self.roll_back(name, &reason),
            Err(reason) => {
                self.apply(name, Happened::Sick(reason));
                self.ask_soon(name);
            }
            Ok(()) if all_well => self.apply(name, Happened::Well),
            Ok(()) => {}
        }
    }

    fn ask_soon(&mut self, name: &PluginName) {
        if let Some(plugin) = self.plugins.get_mut(name) {
            plugin.health_at = plugin.health_at.min(Instant::now() + HEALTH_INTERVAL_SOON);
        }
    }
}
