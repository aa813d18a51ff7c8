//! Finding a method by verb and path.

use std::{collections::HashMap, sync::Arc};

use super::{Route, Verb, template::Segment};
use crate::registry::Method;

/// All routes, by the number of their segments. Made anew with the method table.
#[derive(Default)]
pub(crate) struct RouteTable(HashMap<usize, Vec<Entry>>);

struct Entry {
    route: Route,
    method: Arc<Method>,
}

/// The method behind a path.
pub struct Found {
    pub method: Arc<Method>,
    pub verb: Verb,
    /// Of a success that has content.
    pub status: u16,
    /// The bodies are bytes that pass around the component.
    pub raw: bool,
    /// Parameters in the path, as text.
    pub parameters: Vec<(Arc<str>, String)>,
}

/// What there is at a path.
pub enum Wanted {
    Found(Found),
    /// Only these verbs.
    OtherVerb(Vec<Verb>),
    Nothing,
}

impl RouteTable {
    pub fn of<'a>(methods: impl Iterator<Item = &'a Arc<Method>>) -> Self {
        let mut table: HashMap<usize, Vec<Entry>> = HashMap::new();
        for method in methods {
            for route in &method.routes {
                let entry = Entry { route: route.clone(), method: method.clone() };
                table.entry(route.template.segments().len()).or_default().push(entry);
            }
        }
        for entries in table.values_mut() {
            // A literal is more exact than a parameter, the earlier segment counting more.
            let parameters = |entry: &Entry| -> Vec<bool> {
                entry.route.template.segments().iter().map(|s| matches!(s, Segment::Parameter(_))).collect()
            };
            entries.sort_by_cached_key(parameters);
        }
        Self(table)
    }

    /// `segments` are those below the prefix, decoded; no verb is one that no route has.
    pub fn find(&self, verb: Option<Verb>, segments: &[String]) -> Wanted {
        let entries = self.0.get(&segments.len()).map(Vec::as_slice).unwrap_or_default();
        let mut others = Vec::new();
        for entry in entries {
            let Some(parameters) = fit(entry.route.template.segments(), segments) else { continue };
            if verb == Some(entry.route.verb) {
                let Route { verb, status, raw, .. } = entry.route;
                return Wanted::Found(Found { method: entry.method.clone(), verb, status, raw, parameters });
            }
            others.push(entry.route.verb);
        }
        others.sort_unstable();
        others.dedup();
        if others.is_empty() { Wanted::Nothing } else { Wanted::OtherVerb(others) }
    }
}

fn fit(template: &[Segment], segments: &[String]) -> Option<Vec<(Arc<str>, String)>> {
    let mut parameters = Vec::new();
    for (wanted, given) in template.iter().zip(segments) {
        match wanted {
            Segment::Literal(text) if **text == **given => {}
            Segment::Literal(_) => return None,
            Segment::Parameter(_) if given.is_empty() => return None,
            Segment::Parameter(name) => parameters.push((name.clone(), given.clone())),
        }
    }
    Some(parameters)
}
