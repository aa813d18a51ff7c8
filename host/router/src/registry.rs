//! The method table: replaced as a whole when an owner's methods change, read without a lock.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use midplane_model::{
    BoxFuture, Call, ErrorCode, Fault, PluginName, Principal, Reply, Scope, ToolTraits,
    schema::{Function, Interface},
};
use tokio::sync::watch;
use tracing::Instrument;

use crate::{
    rest::{Route, RouteTable, Verb, Wanted},
    witness::{Told, Witness},
};

/// Serves calls. Implementations never block the thread; dropping the future gives the call up. Before they do anything that
/// a second attempt would do again, they ask [`Effects::begin`](midplane_model::Effects::begin).
pub trait Service: Send + Sync {
    fn call(&self, method: &Arc<Method>, call: Call) -> BoxFuture<'static, Result<Reply, Fault>>;
}

/// Who registered a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The host itself, under the prefix of a native service.
    Native(Arc<str>),
    Plugin(PluginName),
}

/// One callable method.
#[derive(Clone)]
pub struct Method {
    /// `workspace.open_file`.
    pub name: Arc<str>,
    pub owner: Owner,
    pub interface: Arc<Interface>,
    pub function: Arc<Function>,
    /// What a caller's credential must include.
    pub scope: Scope,
    pub service: Arc<dyn Service>,
    /// Its ways over REST, beside the one that every method has.
    pub routes: Vec<Route>,
    /// How it behaves as a tool, where it is offered to agents.
    pub tool: Option<ToolTraits>,
}

impl Method {
    /// Whether a principal may call it.
    ///
    /// # Errors
    /// `forbidden` with the scope.
    pub fn admit(&self, principal: &Principal) -> Result<(), Fault> {
        if principal.may_call(&self.name, &self.scope) {
            return Ok(());
        }
        let scope = self.scope.to_string();
        let message = format!("{} needs the scope {scope:?}, which {:?} does not have", self.name, principal.name);
        Err(Fault::new(ErrorCode::Forbidden, message).with("scope", scope))
    }
}

/// A consistent view of the table.
pub type Methods = Arc<BTreeMap<Arc<str>, Arc<Method>>>;

/// The registry. Cheap to share behind an `Arc`.
#[derive(Default)]
pub struct Router {
    table: ArcSwap<Table>,
    /// How often methods have been replaced.
    replaced: watch::Sender<u64>,
    witness: OnceLock<Arc<dyn Witness>>,
}

/// Methods and, derived from them, their routes: replaced together.
#[derive(Default)]
struct Table {
    methods: Methods,
    routes: RouteTable,
}

impl Table {
    fn of(methods: BTreeMap<Arc<str>, Arc<Method>>) -> Self {
        Self { routes: RouteTable::of(methods.values()), methods: Arc::new(methods) }
    }
}

impl Router {
    /// Replaces all methods of `owner` by `methods` in one step: callers see either the old set or the new one.
    pub fn register(&self, owner: &Owner, methods: Vec<Method>) {
        let methods: Vec<Arc<Method>> = methods.into_iter().map(Arc::new).collect();
        self.table.rcu(|table| {
            let mut all = BTreeMap::clone(&table.methods);
            all.retain(|_, method| &method.owner != owner);
            all.extend(methods.iter().map(|method| (method.name.clone(), method.clone())));
            Table::of(all)
        });
        self.replaced.send_modify(|count| *count += 1);
    }

    /// Who hears of administrative calls from now on. The first one that is named stays.
    pub fn tell(&self, witness: Arc<dyn Witness>) {
        _ = self.witness.set(witness);
    }

    /// Resolves whenever an owner has replaced its methods; several replacements may be one change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// Gives a method another way over REST, until its owner registers anew. Nothing happens when there is no such method.
    ///
    /// # Errors
    /// Why the route does not fit the method.
    pub fn add_route(&self, method: &str, route: Route) -> Result<(), String> {
        let Some(found) = self.methods().get(method).cloned() else { return Ok(()) };
        route.check(&found.function).map_err(|problem| format!("{method}: {problem}"))?;
        let mut changed = Method::clone(&found);
        changed.routes.push(route);
        let changed = Arc::new(changed);
        self.table.rcu(|table| {
            let mut all = BTreeMap::clone(&table.methods);
            all.insert(changed.name.clone(), changed.clone());
            Table::of(all)
        });
        Ok(())
    }

    /// Removes all methods of `owner`.
    pub fn unregister(&self, owner: &Owner) {
        self.register(owner, Vec::new());
    }

    #[must_use]
    pub fn methods(&self) -> Methods {
        self.table.load().methods.clone()
    }

    /// What there is at a path of REST. `segments` are those below the prefix, decoded; no verb is one that no route has.
    #[must_use]
    pub fn route(&self, verb: Option<Verb>, segments: &[String]) -> Wanted {
        self.table.load().routes.find(verb, segments)
    }

    /// Finds a method.
    ///
    /// # Errors
    /// `method_not_found`, with the nearest name where one is close.
    pub fn find(&self, name: &str) -> Result<Arc<Method>, Fault> {
        let table = &self.table.load().methods;
        if let Some(method) = table.get(name) {
            return Ok(method.clone());
        }
        let hint = nearest(name, table.keys()).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        Err(Fault::new(ErrorCode::MethodNotFound, format!("no method {name:?}{hint}")).with("method", name))
    }

    /// Calls a method by name on behalf of the context's principal, within the context's deadline.
    ///
    /// Dropping the future gives the call up: work that a guest has begun runs on, its answer is dropped.
    ///
    /// # Errors
    /// `method_not_found`, `forbidden` (with `scope`), `timeout`, `cancelled`, or what the service answers.
    pub async fn call(&self, call: Call) -> Result<Reply, Fault> {
        let method = self.find(&call.method)?;
        self.call_found(&method, call).await
    }

    /// As [`Self::call`], of a method that [`Self::find`] gave for this call.
    ///
    /// # Errors
    /// `forbidden` (with `scope`), `timeout`, `cancelled`, or what the service answers.
    pub async fn call_found(&self, method: &Arc<Method>, call: Call) -> Result<Reply, Fault> {
        let witness = self.witness.get().filter(|_| method.scope == Scope::Admin);
        let told = witness.map(|witness| Told::new(witness, &call));
        let deadline = call.context.deadline;
        let cancel = call.context.cancel.clone();
        let answer = match method.admit(&call.context.principal) {
            Err(fault) => Err(fault),
            Ok(()) => {
                let span = tracing::debug_span!("call", method = %call.method, request_id = %call.context.request_id);
                let answer = method.service.call(method, call).instrument(span);
                tokio::select! {
                    answer = tokio::time::timeout_at(deadline.at().into(), answer) => answer.unwrap_or_else(|_| Err(deadline.fault())),
                    () = cancel.cancelled() => Err(Fault::new(ErrorCode::Cancelled, "the caller cancelled this call")),
                }
            }
        };
        if let Some(told) = told {
            told.ended(&answer);
        }
        answer
    }
}

/// The known name with the smallest edit distance, if it is at most a third of the length away.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a Arc<str>>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(name, candidate), &**candidate))
        .min()
        .filter(|(distance, _)| *distance <= name.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, one row at a time. Names are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(128).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let known: Vec<Arc<str>> = vec!["files.read".into(), "files.write".into()];
        assert_eq!(nearest("files.raed", known.iter()), Some("files.read"));
        assert_eq!(nearest("something.else", known.iter()), None);
    }
}
