//! The tools there are, in the SDK's words. Made once for each state of the registry.

use std::sync::{Arc, Mutex, PoisonError};

use midplane_model::{Principal, ToolTraits};
use midplane_router::{Method, Methods, tools};
use rmcp::model::{Tool, ToolAnnotations};

use crate::shared::Shared;

/// All tools, by name.
pub(crate) struct Catalogue {
    methods: Methods,
    offers: Vec<Offer>,
}

struct Offer {
    method: Arc<Method>,
    tool: Tool,
}

/// The newest catalogue.
#[derive(Default)]
pub(crate) struct Catalogues(Mutex<Option<Arc<Catalogue>>>);

impl Shared {
    /// The tools of the methods that there are now.
    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        let methods = self.router.methods();
        let newest = || self.catalogues.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest().clone();
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.methods, &methods)) {
            return known;
        }
        let made = Arc::new(Catalogue::of(methods));
        *newest() = Some(made.clone());
        made
    }
}

impl Catalogue {
    fn of(methods: Methods) -> Self {
        let offers = tools(&methods).into_iter().map(|offered| {
            let mut tool = Tool::new(offered.name, description(&offered.method), offered.input);
            tool.title = Some(offered.method.name.to_string());
            tool.output_schema = offered.output.map(Arc::new);
            tool.annotations = offered.method.tool.map(annotations);
            Offer { method: offered.method, tool }
        });
        Self { offers: offers.collect(), methods }
    }

    /// What this principal may call.
    pub(super) fn of_principal(&self, principal: &Principal) -> Vec<Tool> {
        let open = self.offers.iter().filter(|offer| principal.may_call(&offer.method.name, &offer.method.scope));
        open.map(|offer| offer.tool.clone()).collect()
    }

    /// The method behind a tool.
    pub(super) fn method(&self, tool: &str) -> Option<&Arc<Method>> {
        let place = self.offers.binary_search_by(|offer| (*offer.tool.name).cmp(tool)).ok()?;
        Some(&self.offers[place].method)
    }
}

fn description(method: &Method) -> String {
    let docs = method.function.docs.as_deref().unwrap_or_default();
    if docs.is_empty() { method.function.signature() } else { docs.to_owned() }
}

fn annotations(traits: ToolTraits) -> ToolAnnotations {
    let ToolTraits { read_only, destructive, idempotent, open_world, .. } = traits;
    ToolAnnotations::new().read_only(read_only).destructive(destructive).idempotent(idempotent).open_world(open_world)
}
