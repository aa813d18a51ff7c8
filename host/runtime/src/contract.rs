//! The versions of `midplane:host` that this host serves.
//!
//! The open one is what [`crate::bindings`] generates and [`crate::imports`] answers. Each older one is a file here that
//! translates; nothing else knows that there was another. What a component was built against is read from the names of its
//! imports and exports, so it may even use two versions.

mod hooks;
mod v0_1;

use std::{fmt::Write as _, sync::OnceLock};

use midplane_model::schema::{Function, Interface};
use midplane_router::interfaces_of_packages;
use semver::{Version, VersionReq};
use wasmtime::component::{HasSelf, Linker};

pub use hooks::{Hooks, Outcome, enter};

use crate::{
    bindings::Plugin,
    host::{same_track, split_id},
    instance::Guest,
    package::LoadError,
};

/// What the names of all interfaces of the contract begin with.
const PREFIX: &str = "midplane:host/";

/// WIT as `(file name, text)`.
type Wit = &'static [(&'static str, &'static str)];

/// One version of the contract.
struct Served {
    version: Version,
    wit: Wit,
    add_to_linker: fn(&mut Linker<Guest>) -> wasmtime::Result<()>,
    /// Its interfaces, read from the WIT when they are first asked for.
    interfaces: OnceLock<Vec<Interface>>,
}

/// The open version comes first.
static SERVED: [Served; 2] = [
    Served {
        version: Version::new(0, 2, 0),
        wit: &[
            ("types.wit", include_str!("../../../wit/host/types.wit")),
            ("context.wit", include_str!("../../../wit/host/context.wit")),
            ("events.wit", include_str!("../../../wit/host/events.wit")),
            ("services.wit", include_str!("../../../wit/host/services.wit")),
            ("storage.wit", include_str!("../../../wit/host/storage.wit")),
            ("config.wit", include_str!("../../../wit/host/config.wit")),
            ("log.wit", include_str!("../../../wit/host/log.wit")),
            ("timers.wit", include_str!("../../../wit/host/timers.wit")),
            ("files.wit", include_str!("../../../wit/host/files.wit")),
            ("content.wit", include_str!("../../../wit/host/content.wit")),
            ("uploads.wit", include_str!("../../../wit/host/uploads.wit")),
            ("archives.wit", include_str!("../../../wit/host/archives.wit")),
            ("search.wit", include_str!("../../../wit/host/search.wit")),
            ("terminals.wit", include_str!("../../../wit/host/terminals.wit")),
            ("processes.wit", include_str!("../../../wit/host/processes.wit")),
            ("exports.wit", include_str!("../../../wit/host/exports.wit")),
        ],
        add_to_linker: |linker| Plugin::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest),
        interfaces: OnceLock::new(),
    },
    Served { version: v0_1::VERSION, wit: v0_1::WIT, add_to_linker: v0_1::add_to_linker, interfaces: OnceLock::new() },
];

/// The served versions, for messages: `0.2.0 and 0.1.0`.
pub fn served() -> String {
    let mut text = String::new();
    for (index, Served { version, .. }) in SERVED.iter().enumerate() {
        let between = if index == 0 { "" } else { " and " };
        // Writing to a string does not fail.
        _ = write!(text, "{between}{version}");
    }
    text
}

/// The version that a plugin is built against today.
pub fn open() -> &'static Version {
    &SERVED[0].version
}

/// Whether a plugin that was built against this range can run here.
pub fn accepts(range: &VersionReq) -> bool {
    SERVED.iter().any(|served| range.matches(&served.version))
}

/// Whether an interface is the contract's, and not a service.
pub fn is_own(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// Whether the host can serve an import, or call an export, of the contract as the component has it.
///
/// # Errors
/// Names what is unknown, and the served versions.
pub fn check(verb: &'static str, interface: &Interface) -> Result<(), LoadError> {
    let unknown = |what: String| LoadError::UnknownContract { verb, what };
    let (name, wanted) = split_id(&interface.id);
    let served = SERVED.iter().find(|served| same_track(&served.version, &wanted));
    let known = served.and_then(|served| served.interfaces().iter().find(|known| split_id(&known.id).0 == name));
    let known = known.ok_or_else(|| unknown(interface.id.to_string()))?;
    for function in &interface.functions {
        // Handles have no shape, not even their own: there the names decide, and the linker afterwards.
        let by_names = !function.same_shape(function);
        let same = |known: &Function| {
            if by_names { known.signature() == function.signature() } else { known.same_shape(function) }
        };
        if !known.functions.iter().any(|known| known.name == function.name && same(known)) {
            return Err(unknown(format!("{} of {}", function.signature(), interface.id)));
        }
    }
    Ok(())
}

/// Defines every interface of every served version.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    SERVED.iter().try_for_each(|served| (served.add_to_linker)(linker))
}

/// The WIT of every served version, so that the WIT beside a plugin can be read.
pub fn wit() -> impl Iterator<Item = Wit> {
    SERVED.iter().map(|served| served.wit)
}

impl Served {
    fn interfaces(&self) -> &[Interface] {
        self.interfaces.get_or_init(|| {
            interfaces_of_packages(&[self.wit.to_vec()]).unwrap_or_else(|error| {
                tracing::error!(version = %self.version, %error, "the WIT of the contract; its plugins will not run");
                Vec::new()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(id: &str) -> Interface {
        SERVED
            .iter()
            .flat_map(|served| served.interfaces().iter().cloned())
            .find(|known| *known.id == *id)
            .unwrap_or_else(|| panic!("{id}"))
    }

    #[test]
    fn the_wit_of_every_version_can_be_read_and_bears_its_number() {
        for served in &SERVED {
            assert!(!served.interfaces().is_empty());
            for interface in served.interfaces() {
                assert_eq!(split_id(&interface.id).1, served.version, "{}", interface.id);
                assert!(check("imports", interface).is_ok(), "{}", interface.id);
            }
        }
    }

    #[test]
    fn an_unknown_version_is_refused_with_all_versions_named() {
        let mut newer = interface("midplane:host/log@0.2.0");
        newer.id = "midplane:host/log@0.3.0".into();
        let error = check("imports", &newer).unwrap_err().to_string();
        assert!(["0.3.0", "0.2.0", "0.1.0"].iter().all(|version| error.contains(version)), "{error}");
        assert!(!accepts(&VersionReq::parse("^0.3").unwrap()));
        assert!(accepts(&VersionReq::parse("^0.1").unwrap()) && accepts(&VersionReq::parse("^0.2").unwrap()));
    }

    #[test]
    fn a_function_that_a_version_does_not_have_is_refused_by_its_signature() {
        let mut mixed = interface("midplane:host/log@0.2.0");
        mixed.id = "midplane:host/log@0.1.0".into();
        let error = check("imports", &mixed).unwrap_err().to_string();
        assert!(error.contains("fields: list<tuple<string, string>>"), "{error}");
    }
}
