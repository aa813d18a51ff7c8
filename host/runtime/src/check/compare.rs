//! What changed between two sets of interfaces, and what that is to those who use them. Pure.

use midplane_model::schema::{Function, Interface};
use serde::Serialize;

use super::{
    types::{changes, is_opaque, mentioned, mentions, named},
    version::Weight,
};
use crate::host::{compatible, split_id};

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Full id: the old one, except of what is new.
    pub interface: String,
    #[serde(flatten)]
    pub change: Change,
    pub weight: Weight,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    InterfaceRemoved,
    InterfaceAdded,
    /// Served under a version that does not satisfy who was built against the old one.
    InterfaceMoved {
        to: String,
    },
    FunctionRemoved {
        function: String,
        was: String,
    },
    FunctionAdded {
        function: String,
        is: String,
    },
    FunctionChanged {
        function: String,
        was: String,
        is: String,
    },
    TypeChanged {
        #[serde(rename = "type")]
        name: String,
        /// A sentence each.
        details: Vec<String>,
        /// The functions that mention it.
        functions: Vec<String>,
    },
}

impl Difference {
    fn new(interface: &Interface, change: Change) -> Self {
        let weight = match change {
            Change::InterfaceAdded | Change::FunctionAdded { .. } => Weight::Addition,
            _ => Weight::Breaking,
        };
        Self { interface: interface.id.to_string(), change, weight }
    }
}

/// Everything that changed from `old` to `new`. Docs, the names of types and the colour of functions (the host bridges it) are no
/// change.
#[must_use]
pub fn compare(old: &[Interface], new: &[Interface]) -> Vec<Difference> {
    let mut differences = Vec::new();
    for was in old {
        match successor(was, new) {
            None => differences.push(Difference::new(was, Change::InterfaceRemoved)),
            Some(is) => {
                if !satisfies(was, is) {
                    differences.push(Difference::new(was, Change::InterfaceMoved { to: is.id.to_string() }));
                }
                differences.extend(compare_interface(was, is).into_iter().map(|change| Difference::new(was, change)));
            }
        }
    }
    let base = |interface: &Interface| split_id(&interface.id).0.to_owned();
    let added = new.iter().filter(|is| !old.iter().any(|was| base(was) == base(is)));
    differences.extend(added.map(|is| Difference::new(is, Change::InterfaceAdded)));
    differences
}

/// The interface that takes the place of `was`: one that satisfies its users if there is one, else the newest of its name.
fn successor<'a>(was: &Interface, new: &'a [Interface]) -> Option<&'a Interface> {
    let name = split_id(&was.id).0;
    let candidates = new.iter().filter(|is| split_id(&is.id).0 == name);
    candidates.max_by_key(|is| (satisfies(was, is), split_id(&is.id).1))
}

fn satisfies(was: &Interface, is: &Interface) -> bool {
    compatible(&split_id(&was.id).1, &split_id(&is.id).1)
}

fn compare_interface(old: &Interface, new: &Interface) -> Vec<Change> {
    let mut found = Vec::new();
    let (old_types, new_types) = (named(old), named(new));
    for (name, was) in &old_types {
        let details = new_types.get(name).map(|is| changes(was, is)).unwrap_or_default();
        if !details.is_empty() {
            let uses = |function: &&std::sync::Arc<Function>| mentioned(function).any(|ty| mentions(ty, name));
            let functions = old.functions.iter().filter(uses).map(|function| function.name.wit.to_string()).collect();
            found.push(Change::TypeChanged { name: name.clone(), details, functions });
        }
    }
    let told = |function: &str| {
        found.iter().any(|change| matches!(change, Change::TypeChanged { functions, .. } if functions.iter().any(|name| name == function)))
    };
    let mut functions = Vec::new();
    for was in &old.functions {
        let name = was.name.wit.to_string();
        let Some(is) = new.functions.iter().find(|is| is.name == was.name) else {
            functions.push(Change::FunctionRemoved { function: name, was: was.signature() });
            continue;
        };
        // With the same text only a type inside can be another, and that has been told already.
        let same_text = without_colour(was) == without_colour(is);
        if !(was.same_shape(is) || same_text && (told(&name) || mentioned(was).any(is_opaque))) {
            functions.push(Change::FunctionChanged { function: name, was: was.signature(), is: is.signature() });
        }
    }
    let added = new.functions.iter().filter(|is| !old.functions.iter().any(|was| was.name == is.name));
    functions.extend(added.map(|is| Change::FunctionAdded { function: is.name.wit.to_string(), is: is.signature() }));
    found.extend(functions);
    found
}

fn without_colour(function: &Function) -> String {
    Function { is_async: false, ..function.clone() }.signature()
}

#[cfg(test)]
mod tests {
    use midplane_router::interfaces_of_packages;

    use super::*;

    fn interfaces(version: &str, body: &str) -> Vec<Interface> {
        let text = format!("package acme:spell@{version};\n{body}");
        interfaces_of_packages(&[vec![("spell.wit", &*text)]]).unwrap()
    }

    /// What changed, as `weight kind what` lines.
    fn differences(old: (&str, &str), new: (&str, &str)) -> Vec<String> {
        let differences = compare(&interfaces(old.0, old.1), &interfaces(new.0, new.1));
        let line = |difference: &Difference| {
            let what = match &difference.change {
                Change::InterfaceRemoved => "interface removed".to_owned(),
                Change::InterfaceAdded => "interface added".to_owned(),
                Change::InterfaceMoved { to } => format!("moved to {to}"),
                Change::FunctionRemoved { function, .. } => format!("{function} removed"),
                Change::FunctionAdded { function, .. } => format!("{function} added"),
                Change::FunctionChanged { was, is, .. } => format!("{was} => {is}"),
                Change::TypeChanged { name, details, functions } => {
                    format!("{name}: {} [{}]", details.join("; "), functions.join(", "))
                }
            };
            format!("{:?} {what}", difference.weight)
        };
        differences.iter().map(line).collect()
    }

    fn same_version(old: &str, new: &str) -> Vec<String> {
        differences(("1.0.0", old), ("1.0.0", new))
    }

    #[test]
    fn what_nobody_can_notice_is_no_difference() {
        for (old, new) in [
            (
                "interface i { f: func(a: u32) -> string; }",
                "/// Docs.\ninterface i { /// More.\n f: func(a: u32) -> string; }",
            ),
            ("interface i { f: func(); }", "interface i { f: async func(); }"),
            (
                "interface i { record r { a: u8 } f: func() -> r; }",
                "interface i { record s { a: u8 } f: func() -> s; }",
            ),
            ("interface i { type json = string; f: func(a: json); }", "interface i { f: func(a: string); }"),
            ("interface i { resource r; f: func(a: r); }", "interface i { resource r; f: func(a: r); }"),
        ] {
            assert_eq!(same_version(old, new), [""; 0], "{old} {new}");
        }
    }

    #[test]
    fn additions_break_nobody() {
        assert_eq!(
            same_version(
                "interface i { f: func(); }",
                "interface i { f: func(); g: func(); } interface j { h: func(); }"
            ),
            ["Addition g added", "Addition interface added"]
        );
    }

    #[test]
    fn functions_that_go_or_change_are_named_with_both_signatures() {
        for (old, new, told) in [
            ("f: func(); g: func();", "f: func();", "Breaking g removed"),
            ("f: func(a: u32);", "f: func(a: u64);", "Breaking f: func(a: u32) => f: func(a: u64)"),
            ("f: func(a: u32);", "f: func(b: u32);", "Breaking f: func(a: u32) => f: func(b: u32)"),
            (
                "f: func(a: u32);",
                "f: func(a: u32, b: option<u32>);",
                "Breaking f: func(a: u32) => f: func(a: u32, b: option<u32>)",
            ),
            ("f: func() -> u32;", "f: func();", "Breaking f: func() -> u32 => f: func()"),
        ] {
            assert_eq!(same_version(&format!("interface i {{ {old} }}"), &format!("interface i {{ {new} }}")), [told]);
        }
    }

    #[test]
    fn a_type_that_changes_is_named_once_with_the_functions_that_mention_it() {
        let of =
            |ty: &str| format!("interface i {{ {ty} f: func(a: list<t>) -> u32; g: func() -> option<t>; h: func(); }}");
        for (old, new, told) in [
            ("record t { a: u8 }", "record t { a: u8, b: string }", "field b of type string was added"),
            ("record t { a: u8, b: u8 }", "record t { a: u8 }", "field b was removed"),
            ("record t { a: u8 }", "record t { a: u16 }", "field a was u8, is u16"),
            ("record t { a: u8, b: u8 }", "record t { b: u8, a: u8 }", "the fields come in another order"),
            ("variant t { a, b(u8) }", "variant t { a(string), b(u8) }", "case a was nothing, is string"),
            ("variant t { a, b(u8) }", "variant t { a }", "case b was removed"),
            ("enum t { a, b }", "enum t { a, b, c }", "case c was added"),
            ("flags t { a, b }", "flags t { b }", "flag a was removed"),
            ("enum t { a }", "record t { a: u8 }", "was an enum, is a record"),
        ] {
            assert_eq!(same_version(&of(old), &of(new)), [format!("Breaking t: {told} [f, g]")]);
        }
    }

    #[test]
    fn a_change_deep_inside_is_told_of_the_type_where_it_is() {
        let of = |inner: &str| {
            format!("interface i {{ record r {{ {inner} }} record t {{ a: option<r> }} f: func() -> t; }}")
        };
        assert_eq!(same_version(&of("x: u8"), &of("x: s8")), ["Breaking r: field x was u8, is s8 [f]"]);
    }

    #[test]
    fn an_interface_that_is_gone_or_under_a_version_that_does_not_fit_breaks_its_users() {
        let body = "interface i { f: func(); }";
        assert_eq!(
            same_version(body, "interface j { f: func(); }"),
            ["Breaking interface removed", "Addition interface added"]
        );
        assert_eq!(differences(("1.0.0", body), ("1.4.0", body)), [""; 0]);
        assert_eq!(differences(("1.0.0", body), ("2.0.0", body)), ["Breaking moved to acme:spell/i@2.0.0"]);
        assert_eq!(differences(("0.1.0", body), ("0.2.0", body)), ["Breaking moved to acme:spell/i@0.2.0"]);
        assert_eq!(differences(("1.4.0", body), ("1.0.0", body)), ["Breaking moved to acme:spell/i@1.0.0"]);
    }
}
