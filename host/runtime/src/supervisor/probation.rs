//! Probation: after a swap the old generation is parked, alive, until the new one has proved itself.

use midplane_model::PluginName;
use serde_json::json;

use super::{
    Supervisor, Worked,
    plugin::{Kind, Refused},
};
use crate::{
    bindings::Ending,
    life::{Came, Happened, Step},
    lock::GrantSet,
    slot::Newer,
};

impl Supervisor {
    /// Ends the probation in favour of the new generation: the event `plugin.settled`. From now on nothing leads back.
    pub(super) fn settle(&mut self, name: &PluginName) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        if let Some(mut probation) = plugin.probation.take() {
            probation.reload.after(Came::Done);
            self.tasks.spawn(probation.old.retire(Ending::Reload));
            let status = plugin.slot.status();
            let (version, generation) = (status.version, status.generation);
            self.publish("plugin.settled", &json!({ "name": name, "version": version, "generation": generation }));
            self.show(name);
        }
    }

    /// The new generation failed in its probation: it ends now, whatever is inside, and the old one serves again.
    pub(super) fn roll_back(&mut self, name: &PluginName, reason: &str) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let step = plugin.probation.as_mut().map(|probation| probation.reload.after(Came::Failed));
        let (Some(Step::RollBack), Some(failed)) = (step, plugin.generation.take()) else { return };
        let reason = format!("{} failed in its probation: {reason}", failed.package.manifest.version);
        let old = plugin.probation.as_ref().map(|probation| &probation.old.package.digest);
        // The same files in another form say nothing against the files.
        if old != Some(&failed.package.digest) {
            plugin.refused = Some(Refused { package: failed.package.clone(), reason: reason.clone() });
        }
        self.apply(name, Happened::ReloadBegun(reason.clone()));
        let killed = reason.clone();
        self.work(name, Kind::RollBack { reason }, async move {
            failed.kill(&killed).await;
            Worked::RolledBack
        });
    }

    /// The new generation is gone. What waited is served by the old one, in order, from the state it had at the swap.
    pub(super) fn rolled_back(&mut self, name: &PluginName, reason: &str) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let Some(probation) = plugin.probation.take() else { return };
        plugin.source = probation.source;
        let (number, version) = (probation.old.number, probation.old.package.manifest.version.clone());
        let left = probation.old.instances.len();
        self.put_in_charge(name, probation.old);
        self.remember(name);
        if let Some(plugin) = self.plugins.get_mut(name) {
            plugin.slot.set_newer(plugin.refused.as_ref().map(|refused| Newer {
                reason: refused.reason.clone(),
                version: Some(refused.package.manifest.version.clone()),
                sha256: Some(refused.package.digest.clone()),
                added: GrantSet::default(),
            }));
            plugin.end_generation_if_empty();
        }
        let happened = if left > 0 {
            Happened::Reloaded(format!("rolled back to {version}, generation {number}: {reason}"))
        } else {
            Happened::NotReloaded { reason: reason.to_owned(), left }
        };
        self.apply(name, happened);
        self.refill(name);
    }
}
