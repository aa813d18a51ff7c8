//! Plugins as lines of a table.

use serde_json::Value;

use super::{items, text_of};

const HEAD: [&str; 5] = ["NAME", "VERSION", "STATE", "GENERATION", "ABOUT"];

/// The table of `plugin.list`.
pub fn text(list: &Value) -> String {
    let rows: Vec<[String; 5]> = items(list).iter().map(row).collect();
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len() - 1).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = widths.iter().zip(row).map(|(width, cell)| format!("{cell:width$}  "));
        (cells.collect::<String>() + &row[4]).trim_end().to_owned()
    };
    [&head].into_iter().chain(&rows).map(line).collect::<Vec<_>>().join("\n")
}

/// One plugin in a sentence.
pub fn line(plugin: &Value) -> String {
    let [name, version, state, ..] = row(plugin);
    let trouble = trouble(plugin);
    let reason = if trouble.is_empty() { String::new() } else { format!(": {trouble}") };
    format!("{name} {version} is {state}{reason}")
}

/// Why it does not run, or why what runs is not the newest.
fn trouble(plugin: &Value) -> String {
    match &plugin["newer"] {
        Value::Null if plugin["state"] == "running" => String::new(),
        Value::Null => text_of(&plugin["reason"]),
        Value::Object(newer) => newer.get("reason").map(text_of).unwrap_or_default(),
        newer => text_of(newer),
    }
}

/// Of a plugin that runs well its description, of any other the reason.
fn row(plugin: &Value) -> [String; 5] {
    let trouble = trouble(plugin);
    let about = if trouble.is_empty() { text_of(&plugin["description"]) } else { trouble };
    let about = if plugin["builtin"] == true { format!("{about} (built in)") } else { about };
    let of = |member: &str| text_of(&plugin[member]);
    [of("name"), of("version"), of("state"), of("generation"), about.trim().to_owned()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let list = json!([
            {"name": "files", "version": "0.1.0", "state": "running", "generation": 1, "description": "Files", "builtin": true},
            {"name": "a", "version": "10.0.0", "state": "failed", "generation": 0, "description": "A", "reason": "no"},
        ]);
        assert_eq!(
            text(&list),
            "NAME   VERSION  STATE    GENERATION  ABOUT\n\
             files  0.1.0    running  1           Files (built in)\n\
             a      10.0.0   failed   0           no"
        );
        assert_eq!(line(&list[1]), "a 10.0.0 is failed: no");
    }
}
