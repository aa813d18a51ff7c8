//! `midplane plugin check`: what a plugin is, wants and changes, without running it.
//!
//! [`explain`](mod@explain) reads the component, [`imports`] says which grants follow from what it imports, [`compare`](mod@compare)
//! names what breaks those who use an older one, [`version`] what its version has to be.

mod compare;
mod explain;
mod imports;
mod report;
mod types;
mod version;

use std::path::Path;

pub use compare::{Change, Difference};
pub use imports::Imports;
pub use report::{Against, Report};
pub use version::Weight;

use crate::{
    install::{self, SourceError},
    lock::GrantSet,
};

/// Explains the plugin of a source (as `plugin.install` takes it), and compares it with an older one. Compiles, so it takes
/// seconds for large components; blocks.
///
/// # Errors
/// When a source holds no plugin that could be looked at. What is wrong with a plugin is in the report.
pub fn check(source: &Path, against: Option<&Path>) -> Result<Report, SourceError> {
    let files = install::read(source)?;
    let (mut report, services) = explain::explain(&files);
    if let Some(against) = against {
        let older = install::read(against)?;
        let (old_report, old_services) = explain::explain(&older);
        let differences = compare::compare(&old_services, &services);
        let weight = differences.iter().map(|difference| difference.weight).max().unwrap_or(Weight::None);
        let needs_version = version::lowest(&old_report.version, weight);
        report.against = Some(Against {
            has_version: report.version >= needs_version,
            version: old_report.version,
            weight,
            differences,
            needs_version,
            grants_added: GrantSet::of(&files.manifest.grants).beyond(&GrantSet::of(&older.manifest.grants)),
        });
    }
    Ok(report)
}
