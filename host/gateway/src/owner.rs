//! A live credential as a key of tables.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use midplane_model::Principal;

/// The principal of one credential: another one of the same name, made later or with other scopes, is another owner.
#[derive(Clone)]
pub(crate) struct Owner(pub Arc<Principal>);

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
