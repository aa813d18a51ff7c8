//! What plugins share: the capabilities, the broker, the registry, and who offers which typed interface.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use midplane_broker::Broker;
use midplane_capabilities::{
    files::Root, processes::Processes, search::Searches, storage::Storage, terminals::Terminals, watch::Watcher,
};
use midplane_model::schema::Interface;
use midplane_router::Router;
use semver::Version;
use tokio_util::task::TaskTracker;

use crate::{engine::Engine, optimiser::Optimiser, slot::Slot, waits::Waits};

/// A first-party plugin inside the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundle {
    /// Text of its `plugin.toml`.
    pub manifest: &'static str,
    pub wasm: &'static [u8],
    /// Its WIT, as `(file name, text)`.
    pub wit: &'static [(&'static str, &'static str)],
}

/// What the host is assembled from.
pub struct HostParts {
    pub engine: Arc<Engine>,
    pub router: Arc<Router>,
    pub broker: Arc<Broker>,
    pub files: Root,
    pub watcher: Arc<Watcher>,
    pub searches: Searches,
    pub storage: Arc<Storage>,
    pub terminals: Terminals,
    pub processes: Processes,
    /// Variables of whoever started the host, less the host's own. A plugin sees those that it is granted.
    pub environment: BTreeMap<String, String>,
}

/// Shared by all plugins.
pub struct Host {
    pub(crate) parts: HostParts,
    pub(crate) offers: Offers,
    /// Requests for pages that are being answered.
    pub(crate) visits: TaskTracker,
    pub(crate) optimiser: Optimiser,
    pub(crate) waits: Arc<Waits>,
}

impl Host {
    #[must_use]
    pub fn new(parts: HostParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            offers: Offers::default(),
            visits: TaskTracker::new(),
            optimiser: Optimiser::default(),
            waits: Arc::default(),
        })
    }
}

/// The typed interfaces that are served now, by name without version.
#[derive(Default)]
pub struct Offers {
    by_name: RwLock<HashMap<String, Vec<Offer>>>,
}

#[derive(Clone)]
pub struct Offer {
    pub version: Version,
    pub interface: Arc<Interface>,
    pub slot: Arc<Slot>,
}

impl Offers {
    /// Replaces everything that `slot` offers.
    pub fn replace(&self, slot: &Arc<Slot>, interfaces: &[Arc<Interface>]) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        for offers in by_name.values_mut() {
            offers.retain(|offer| !Arc::ptr_eq(&offer.slot, slot));
        }
        for interface in interfaces {
            let (name, version) = split_id(&interface.id);
            let offer = Offer { version, interface: interface.clone(), slot: slot.clone() };
            by_name.entry(name.to_owned()).or_default().push(offer);
        }
        by_name.retain(|_, offers| !offers.is_empty());
    }

    /// The highest version that a user of `id` can be served with.
    pub fn find(&self, id: &str) -> Option<Offer> {
        let (name, wanted) = split_id(id);
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .get(name)?
            .iter()
            .filter(|offer| compatible(&wanted, &offer.version))
            .max_by(|a, b| a.version.cmp(&b.version))
            .cloned()
    }
}

/// `acme:spell/checker@1.2.0` → name and version; without one, 0.0.0.
pub fn split_id(id: &str) -> (&str, Version) {
    let (name, version) = id.split_once('@').unwrap_or((id, ""));
    (name, Version::parse(version).unwrap_or(Version::new(0, 0, 0)))
}

/// Cargo's caret rule: the same track, and not older.
pub fn compatible(wanted: &Version, offered: &Version) -> bool {
    same_track(wanted, offered) && offered >= wanted
}

/// Versions within which types never change: those with the same left-most non-zero part.
pub fn same_track(a: &Version, b: &Version) -> bool {
    let track = |v: &Version| {
        if v.major > 0 {
            (v.major, 0, 0)
        } else if v.minor > 0 {
            (0, v.minor, 0)
        } else {
            (0, 0, v.patch)
        }
    };
    track(a) == track(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_is_the_caret_rule() {
        let check = |a: &str, b: &str| compatible(&Version::parse(a).unwrap(), &Version::parse(b).unwrap());
        assert!(check("1.2.0", "1.2.0") && check("1.2.0", "1.9.1") && check("0.1.0", "0.1.7"));
        assert!(!check("1.2.0", "1.1.9") && !check("1.2.0", "2.0.0") && !check("0.1.0", "0.2.0"));
    }
}
