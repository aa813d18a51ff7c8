//! `midplane plugin check`: the report as text, and its exit code.

use std::{fmt::Write, path::Path, process::ExitCode};

use midplane_runtime::{Against, Change, Report, Weight};

use crate::client;

/// Ends with 0 when all is well, 1 when something is wrong or breaks users of the older package, 4 when there is no source.
pub fn run(path: &Path, against: Option<&Path>, json: bool) -> ExitCode {
    let report = match midplane_runtime::check(path, against) {
        Ok(report) => report,
        Err(error) => {
            let code = match error {
                midplane_runtime::SourceError::Missing(_) => client::exit::NOT_FOUND,
                _ => client::exit::FAILURE,
            };
            eprintln!("midplane: {error}");
            return ExitCode::from(code);
        }
    };
    if json {
        client::print_text(&serde_json::json!(report).to_string());
    } else {
        client::print_text(text(&report).trim_end());
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(client::exit::FAILURE) }
}

fn text(report: &Report) -> String {
    let mut text = format!("{} {}  {}\n", report.name, report.version, report.description);
    let mut add = |name: &str, value: &str| {
        // Writing to a string does not fail.
        _ = writeln!(text, "{name:<13} {value}");
    };
    add("component", &format!("{}, {} bytes", report.component, report.component_bytes));
    add("sha256", &report.sha256);
    add("links", if report.links { "yes" } else { "no" });
    for service in &report.services {
        add("serves", &service.interface);
        docs(&mut add, service.docs.as_deref());
        service.types.iter().for_each(|ty| add("", &format!("  {ty}")));
        for function in &service.functions {
            add("", &format!("  {} = {}", function.method, function.signature));
            docs(&mut add, function.docs.as_deref());
        }
    }
    report.hooks.iter().for_each(|hook| add("hook", hook));
    report.imports.host.iter().for_each(|id| add("uses host", id));
    report.imports.wasi.iter().for_each(|id| add("uses WASI", id));
    for import in &report.imports.plugins {
        add("uses plugin", &import.interface);
        import.functions.iter().for_each(|function| add("", &format!("  {function}")));
    }
    report.dependencies.iter().for_each(|(name, range)| add("needs", &format!("{name} {range}")));
    report.grants.asks.lines().iter().for_each(|grant| add("grant", grant));
    for missing in &report.grants.missing {
        add("no grant", &format!("{}: it imports {}, which is denied without", missing.grant, missing.import));
    }
    report
        .grants
        .unused
        .iter()
        .for_each(|kind| add("unused grant", &format!("{kind}: nothing that it imports needs it")));
    for setting in &report.config {
        let must = if setting.required { ", required" } else { "" };
        let default = setting.default.as_ref().map(|default| format!(", else {default}")).unwrap_or_default();
        let value = setting.value.as_ref().map(|value| format!("; is {value}")).unwrap_or_default();
        add("config", &format!("{}: {}{must}{default}{value}", setting.key, setting.expects));
        docs(&mut add, setting.docs.as_deref());
    }
    report.problems.iter().for_each(|problem| add("PROBLEM", problem));
    if let Some(against) = &report.against {
        compared(&mut add, report, against);
    }
    text
}

fn docs(add: &mut impl FnMut(&str, &str), docs: Option<&str>) {
    docs.unwrap_or_default().lines().for_each(|line| add("", &format!("    {line}")));
}

fn compared(add: &mut impl FnMut(&str, &str), report: &Report, against: &Against) {
    let verdict = match against.weight {
        Weight::None => "nothing that users could notice has changed",
        Weight::Addition => "users of it are served as before",
        Weight::Breaking => "users of it break",
    };
    add("against", &format!("{}: {verdict}", against.version));
    for difference in &against.differences {
        let what = if difference.weight == Weight::Breaking { "BREAKS" } else { "new" };
        for line in change(&difference.change) {
            add(what, &format!("{}: {line}", difference.interface));
        }
    }
    against.grants_added.lines().iter().for_each(|grant| add("new grant", grant));
    let has = if against.has_version { "has" } else { "HAS NOT" };
    add("version", &format!("{} {has} the {} that this needs at least", report.version, against.needs_version));
}

fn change(change: &Change) -> Vec<String> {
    match change {
        Change::InterfaceRemoved => vec!["is served no more".to_owned()],
        Change::InterfaceAdded => vec!["is served".to_owned()],
        Change::InterfaceMoved { to } => vec![format!("is served as {to} only, which does not satisfy its users")],
        Change::FunctionRemoved { function, was } => vec![format!("{function} was removed: {was}")],
        Change::FunctionAdded { is, .. } => vec![is.clone()],
        Change::FunctionChanged { function, was, is } => vec![format!("{function} was {was}, is {is}")],
        Change::TypeChanged { name, details, functions } => {
            let users = if functions.is_empty() { String::new() } else { format!(" (in {})", functions.join(", ")) };
            details.iter().map(|detail| format!("type {name}{users}: {detail}")).collect()
        }
    }
}
