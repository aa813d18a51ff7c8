//! `plugin.get` as text.

use std::fmt::Write;

use serde_json::Value;

use super::{grants, items, list, text_of};

pub fn text(plugin: &Value) -> String {
    let mut text = list::line(plugin);
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string does not fail.
            _ = write!(text, "\n{name:<13} {value}");
        }
    };
    add("about", &text_of(&plugin["description"]));
    add("source", &text_of(&plugin["source"]));
    add("sha256", &text_of(&plugin["sha256"]));
    add("bytes", &text_of(&plugin["component_bytes"]));
    add("hooks", &joined(&plugin["hooks"]));
    for (whose, title) in [("host", "uses host"), ("wasi", "uses WASI")] {
        items(&plugin["imports"][whose]).iter().for_each(|import| add(title, &text_of(import)));
    }
    for import in items(&plugin["imports"]["plugins"]) {
        add("uses plugin", &text_of(&import["interface"]));
    }
    for (name, range) in plugin["dependencies"].as_object().into_iter().flatten() {
        add("needs", &format!("{name} {}", text_of(range)));
    }
    for line in grants::lines(&plugin["grants"]) {
        add("grant", &line);
    }
    for (name, limit) in plugin["limits"].as_object().into_iter().flatten() {
        add("limit", &format!("{name} {limit}"));
    }
    for (name, value) in plugin["config"].as_object().into_iter().flatten() {
        add("config", &format!("{name} = {value}"));
    }
    add("newer", &newer(&plugin["newer"]));
    for service in items(&plugin["services"]) {
        add("serves", &text_of(&service["id"]));
        for function in items(&service["functions"]) {
            add("", &text_of(&function["wit"]));
            for line in text_of(&function["docs"]).lines() {
                add("", &format!("  {line}"));
            }
        }
    }
    text
}

fn joined(list: &Value) -> String {
    items(list).iter().map(text_of).collect::<Vec<_>>().join(", ")
}

fn newer(newer: &Value) -> String {
    if newer.is_null() {
        return String::new();
    }
    format!("{} {}", text_of(&newer["version"]), text_of(&newer["reason"])).trim().to_owned()
}
