//! What plugins need of each other: start when it is there, wait when it goes, and never need oneself.

use std::collections::BTreeSet;

use midplane_model::PluginName;

use super::Supervisor;
use crate::{
    host::{compatible, split_id},
    life::{Happened, State},
    link,
    package::{LoadError, Package},
};

impl Supervisor {
    /// Whether everything that a package needs is served, in a type that fits.
    ///
    /// # Errors
    /// The first thing that is missing, or the chain through which the plugin needs itself.
    pub(super) fn check_needs(&self, name: &PluginName, package: &Package) -> Result<(), LoadError> {
        let needed = |of: &PluginName| match self.plugins.get(of) {
            _ if of == name => self.needed_by(package),
            Some(plugin) => self.needed_by(&plugin.package),
            None => Vec::new(),
        };
        if let Some(chain) = cycle(name, &needed) {
            let chain: Vec<&str> = chain.iter().map(PluginName::as_str).collect();
            return Err(LoadError::Circular { chain: chain.join(" → ") });
        }
        if let Some(holder) = self.authenticator_beside(name).filter(|_| package.authenticates()) {
            return Err(LoadError::SecondAuthenticator { holder: holder.to_string() });
        }
        for (name, range) in &package.manifest.dependencies {
            let there = self.plugins.get(name).filter(|plugin| plugin.life.is_up());
            let version = there.map(|plugin| &plugin.package.manifest.version);
            if !version.is_some_and(|version| range.matches(version)) {
                return Err(LoadError::MissingDependency {
                    name: name.to_string(),
                    range: range.to_string(),
                    there: version.map(ToString::to_string),
                });
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

    /// Another plugin that has the office of the authenticator, as long as it serves or will soon.
    fn authenticator_beside(&self, name: &PluginName) -> Option<&PluginName> {
        let holder = self.authenticator.as_ref().filter(|holder| *holder != name)?;
        let plugin = self.plugins.get(holder)?;
        (plugin.package.authenticates() && plugin.life.state().takes_calls()).then_some(holder)
    }

    /// A plugin that is about to serve a package takes the office that the package is for.
    pub(super) fn take_office(&mut self, name: &PluginName, package: &Package) {
        if package.authenticates() {
            self.authenticator = Some(name.clone());
        }
    }

    /// The plugins that a package needs: its dependencies, and for each import whoever serves it, or would best.
    fn needed_by(&self, package: &Package) -> Vec<PluginName> {
        let mut needed: Vec<PluginName> = package.manifest.dependencies.keys().cloned().collect();
        for interface in &package.needs {
            let provider = match self.host.offers.find(&interface.id) {
                Some(offer) => Some(offer.slot.name.clone()),
                None => self.would_serve(&interface.id),
            };
            needed.extend(provider);
        }
        needed
    }

    fn would_serve(&self, id: &str) -> Option<PluginName> {
        let (wanted, version) = split_id(id);
        let offered = self.plugins.iter().flat_map(|(name, plugin)| {
            plugin.package.services.iter().map(move |interface| (name, split_id(&interface.id)))
        });
        offered
            .filter(|(_, (name, offered))| *name == wanted && compatible(&version, offered))
            .max_by(|(_, (_, a)), (_, (_, b))| a.cmp(b))
            .map(|(name, _)| name.clone())
    }

    /// Starts what waited and can run now, and stops what has lost what it needs, until nothing changes any more. Plugins for
    /// which something is being done are weighed when that is over.
    pub(super) fn weigh(&mut self) {
        loop {
            let news = self.plugins.iter().filter(|(_, plugin)| plugin.is_idle()).find_map(|(name, plugin)| {
                let needs = self.check_needs(name, &plugin.package);
                let happened = match (plugin.life.state(), needs) {
                    (State::Running | State::Degraded | State::Backoff, Err(LoadError::Circular { .. })) => {
                        return None;
                    }
                    (State::Running | State::Degraded | State::Backoff, Err(error)) => {
                        Happened::NeedsMissing(error.to_string())
                    }
                    _ if !plugin.life.waits_for_others() => return None,
                    (_, Ok(())) => Happened::NeedsMet("what it waited for is there".into()),
                    (_, Err(error)) if error.to_string() == plugin.life.reason() => return None,
                    (_, Err(error)) => unmet(&error),
                };
                Some((name.clone(), happened))
            });
            let Some((name, happened)) = news else { return };
            self.apply(&name, happened);
        }
    }
}

/// What a need that is not met means for a plugin that does not serve.
pub fn unmet(error: &LoadError) -> Happened {
    match error {
        LoadError::Circular { .. } => Happened::NeedsCircular(error.to_string()),
        _ => Happened::NeedsMissing(error.to_string()),
    }
}

/// The shortest way from `start` back to itself, both ends included.
fn cycle(start: &PluginName, needed: &impl Fn(&PluginName) -> Vec<PluginName>) -> Option<Vec<PluginName>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start.clone()]]);
    while let Some(way) = ways.pop_front() {
        for next in needed(way.last()?) {
            let way: Vec<PluginName> = way.iter().cloned().chain([next.clone()]).collect();
            if next == *start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back(way);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle_in(edges: &[(&str, &str)], start: &str) -> Option<String> {
        let name = |text: &str| PluginName::parse(text).unwrap();
        let needed = |of: &PluginName| {
            edges.iter().filter(|(from, _)| *from == of.as_str()).map(|(_, to)| name(to)).collect::<Vec<_>>()
        };
        let way = cycle(&name(start), &needed)?;
        Some(way.iter().map(PluginName::as_str).collect::<Vec<_>>().join(" → "))
    }

    #[test]
    fn a_cycle_is_named_by_each_that_is_on_it_and_by_nobody_else() {
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "d"), ("e", "a")];
        assert_eq!(cycle_in(&edges, "a").as_deref(), Some("a → b → c → a"));
        assert_eq!(cycle_in(&edges, "c").as_deref(), Some("c → a → b → c"));
        assert_eq!(cycle_in(&edges, "d"), None);
        assert_eq!(cycle_in(&edges, "e"), None);
        assert_eq!(cycle_in(&[("a", "a")], "a").as_deref(), Some("a → a"));
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        assert_eq!(cycle_in(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")], "a"), None);
    }
}
