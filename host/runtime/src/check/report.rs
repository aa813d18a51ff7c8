//! What a check tells, as data. `midplane plugin check` makes text of it.

use std::collections::BTreeMap;

use midplane_model::PluginName;
use semver::Version;
use serde::Serialize;

use super::{
    compare::Difference,
    imports::{Imports, Missing},
    version::Weight,
};
use crate::{config::Setting, lock::GrantSet};

/// Everything that can be said of a plugin that does not run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub name: PluginName,
    pub version: Version,
    pub description: String,
    /// Of manifest and component, as `plugins.lock` has it.
    pub sha256: String,
    pub component: String,
    pub component_bytes: usize,
    pub services: Vec<ServiceReport>,
    /// What the host calls of itself, by interface id: lifecycle, subscriber, state, pages.
    pub hooks: Vec<String>,
    pub imports: Imports,
    /// Other plugins by range of versions.
    pub dependencies: BTreeMap<String, String>,
    pub grants: GrantReport,
    /// What its configuration can be, and is.
    pub config: Vec<Setting>,
    /// Whether this host could run it, as far as that shows without running it. Other plugins that it needs are taken for granted.
    pub links: bool,
    /// Why not, and what else is wrong; a sentence each.
    pub problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
}

#[derive(Debug, Serialize)]
pub struct ServiceReport {
    pub interface: String,
    pub docs: Option<String>,
    /// Named types that its functions mention, in WIT.
    pub types: Vec<String>,
    pub functions: Vec<FunctionReport>,
}

#[derive(Debug, Serialize)]
pub struct FunctionReport {
    /// As clients call it.
    pub method: String,
    /// In WIT.
    pub signature: String,
    pub docs: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct GrantReport {
    pub asks: GrantSet,
    pub missing: Vec<Missing>,
    /// Kinds that no import could use.
    pub unused: Vec<String>,
}

/// How it compares to an older package.
#[derive(Debug, Serialize)]
pub struct Against {
    pub version: Version,
    /// The heaviest of the differences.
    pub weight: Weight,
    pub differences: Vec<Difference>,
    /// The lowest version that may bear them, and whether the manifest's is not below it.
    pub needs_version: Version,
    pub has_version: bool,
    /// Grants that an operator would have to approve.
    pub grants_added: GrantSet,
}

impl Report {
    /// Whether it can take the place of the older package, or at least run where there is none to compare with.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.against.as_ref().is_none_or(|against| against.weight < Weight::Breaking)
    }
}
