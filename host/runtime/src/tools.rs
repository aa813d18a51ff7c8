//! The functions that a manifest offers to agents: `[tools]`.

use std::collections::BTreeMap;

use midplane_model::{
    PluginName, ToolTraits,
    schema::{Function, Interface},
};
use midplane_router::{check_tool, interface_methods};
use serde::Deserialize;

use crate::{
    manifest::{Grants, ManifestError, wrong},
    meant,
};

/// One function that is offered.
#[derive(Debug, Clone)]
pub struct DeclaredTool {
    /// A function in snake_case; `interface.function` where two interfaces have one of that name.
    call: String,
    traits: ToolTraits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTool {
    #[serde(default)]
    read_only: bool,
    destructive: Option<bool>,
    #[serde(default)]
    idempotent: bool,
    open_world: Option<bool>,
    #[serde(default)]
    content: bool,
}

/// Checks what can be checked without the component. Where the manifest is silent, a tool that changes something may destroy
/// something, and one whose plugin may reach beyond the workspace does.
pub fn parse(raw: BTreeMap<String, RawTool>, grants: &Grants) -> Result<Vec<DeclaredTool>, ManifestError> {
    let reaches = grants.terminals || !grants.http.is_empty() || !grants.processes.is_empty();
    let read = |(call, raw): (String, RawTool)| {
        let RawTool { read_only, destructive, idempotent, open_world, content } = raw;
        if read_only && destructive == Some(true) {
            return Err(wrong(&format!("tools.{call}"), "is either read_only or destructive"));
        }
        let traits = ToolTraits {
            read_only,
            destructive: destructive.unwrap_or(!read_only),
            idempotent: idempotent || read_only,
            open_world: open_world.unwrap_or(reaches),
            content,
        };
        Ok(DeclaredTool { call, traits })
    };
    raw.into_iter().map(read).collect()
}

/// How one function behaves as a tool, where it is offered.
pub fn of(tools: &[DeclaredTool], interface: &Interface, function: &Function) -> Option<ToolTraits> {
    tools.iter().find(|tool| meant::is(&tool.call, interface, function)).map(|tool| tool.traits)
}

/// Checks the tools against what the component exports.
pub fn check(tools: &[DeclaredTool], plugin: &PluginName, services: &[Interface]) -> Result<(), ManifestError> {
    for tool in tools {
        let problem = |problem: String| wrong(&format!("tools.{}", tool.call), problem);
        let (interface, function) = meant::one(&tool.call, services).map_err(problem)?;
        let methods = interface_methods(&plugin.prefix(), interface);
        let method = methods.iter().find(|(_, other)| other.name == function.name);
        method.map_or(Ok(()), |(name, function)| check_tool(name, function)).map_err(problem)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(table: &str) -> Result<ToolTraits, String> {
        let raw = toml::from_str(&format!("check = {table}")).map_err(|error| error.to_string())?;
        let tools = parse(raw, &Grants { processes: vec!["aspell".into()], ..Grants::default() });
        tools.map(|tools| tools[0].traits).map_err(|error| error.to_string())
    }

    #[test]
    fn a_silent_manifest_promises_nothing() {
        let careful = ToolTraits { destructive: true, open_world: true, ..ToolTraits::ADDS };
        assert_eq!(traits("{}"), Ok(careful));
        assert_eq!(traits("{ read_only = true, open_world = false }"), Ok(ToolTraits::READS));
    }

    #[test]
    fn what_contradicts_itself_or_is_unknown_is_refused() {
        assert!(traits("{ read_only = true, destructive = true }").unwrap_err().contains("tools.check"));
        assert!(traits("{ readonly = true }").unwrap_err().contains("readonly"));
    }
}
