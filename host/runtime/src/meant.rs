//! Which function of a component a manifest means where it names one: by its name in snake_case, or as `interface.function` where
//! two interfaces have one of that name.

use midplane_model::{
    name::snake,
    schema::{Function, Interface},
};

pub fn is(name: &str, interface: &Interface, function: &Function) -> bool {
    match name.split_once('.') {
        Some((of, name)) => snake(&interface.name) == *of && *function.name.json == *name,
        None => *function.name.json == *name,
    }
}

/// The one function that is meant.
///
/// # Errors
/// A sentence for the key of the manifest: there is none, or there are two.
pub fn one<'a>(name: &str, services: &'a [Interface]) -> Result<(&'a Interface, &'a Function), String> {
    let functions = services.iter().flat_map(|interface| interface.functions.iter().map(move |f| (interface, &**f)));
    let mut meant = functions.filter(|(interface, function)| is(name, interface, function));
    match (meant.next(), meant.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => Err(format!("the component exports no function {name:?}")),
        (Some((one, _)), Some((other, _))) => {
            Err(format!("{} and {} both have {name:?}; write interface.function", one.id, other.id))
        }
    }
}
