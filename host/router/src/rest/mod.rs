//! REST routes of methods: a verb, a path with parameters, and the table that finds a method by them.
//!
//! What a route's parameters mean is the function's business: each is a parameter of the function by name. Text becomes
//! a value where the request is read, in the gateway; this module knows no HTTP beyond verbs and paths.

mod table;
mod template;

use midplane_model::schema::{Function, Type};

pub(crate) use table::RouteTable;
pub use table::{Found, Wanted};
pub use template::Template;

/// What every route's path begins with.
pub const REST_PREFIX: &str = "/api/v1/";

/// The verb of a route. `HEAD` is a `GET` whose body nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    const ALL: [(&'static str, Self); 5] = [
        ("GET", Self::Get),
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("PATCH", Self::Patch),
        ("DELETE", Self::Delete),
    ];

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, verb)| *verb)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }

    /// Whether parameters that are not in the path come in a JSON body rather than in the query.
    #[must_use]
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// One way to a method.
#[derive(Debug, Clone)]
pub struct Route {
    pub verb: Verb,
    /// Below [`REST_PREFIX`].
    pub template: Template,
    /// Of a success that has content.
    pub status: u16,
    /// The bodies are bytes that pass around the component; parameters come from path and query alone.
    pub raw: bool,
}

impl Route {
    /// Checks that a request on this route can say everything that the function must be told.
    ///
    /// # Errors
    /// What does not fit, for the author of the route.
    pub fn check(&self, function: &Function) -> Result<(), String> {
        for name in self.template.parameters() {
            let Some(param) = function.params.iter().find(|param| &*param.name.json == name) else {
                return Err(format!("{{{name}}} is no parameter of {}", function.signature()));
            };
            if !is_text(&param.ty) {
                return Err(format!("{{{name}}} is {}, which has no place in a path", param.ty.wit()));
            }
        }
        Ok(())
    }
}

/// Whether a value of the type can be written as one word.
fn is_text(ty: &Type) -> bool {
    use Type as T;
    if let T::Option(some) = ty {
        return is_text(some);
    }
    matches!(
        ty,
        T::Bool
            | T::S8
            | T::U8
            | T::S16
            | T::U16
            | T::S32
            | T::U32
            | T::S64
            | T::U64
            | T::F32
            | T::F64
            | T::Char
            | T::String
            | T::Enum(_)
    )
}

#[cfg(test)]
mod tests {
    use midplane_model::schema::{Label, Param};

    use super::*;

    #[test]
    fn path_parameters_are_words_of_the_function() {
        let param = |name: &str, ty| Param { name: Label::new(name), ty };
        let params = vec![param("word-count", Type::U32), param("tags", Type::List(Type::String.into()))];
        let function = Function { name: Label::new("check"), docs: None, params, result: None, is_async: false };
        let check = |path: &str| {
            Route { verb: Verb::Get, template: Template::parse(path).unwrap(), status: 200, raw: false }
                .check(&function)
        };
        assert!(check("/spell/{word_count}").is_ok());
        assert!(check("/spell/{other}").unwrap_err().contains("{other}"));
        assert!(check("/spell/{tags}").unwrap_err().contains("list<string>"));
    }
}
