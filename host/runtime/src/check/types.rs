//! The named types that the functions of an interface are made of, and what changed in one of them. Pure.

use std::collections::BTreeMap;

use midplane_model::schema::{Case, Cases, Field, Function, Interface, Label, Type};

/// Every record, variant, enum and set of flags that a function of the interface mentions, by name.
#[must_use]
pub fn named(interface: &Interface) -> BTreeMap<String, Type> {
    let mut found = BTreeMap::new();
    for function in &interface.functions {
        for ty in mentioned(function) {
            collect(ty, &mut found);
        }
    }
    found
}

/// The types in a function's signature.
pub fn mentioned(function: &Function) -> impl Iterator<Item = &Type> {
    function.params.iter().map(|param| &param.ty).chain(&function.result)
}

/// The types that a type is made of.
fn parts(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::List(item) | Type::Option(item) => vec![item],
        Type::Result { ok, err } => ok.iter().chain(err).map(|ty| &**ty).collect(),
        Type::Tuple(types) => types.iter().collect(),
        Type::Record(record) => record.fields.iter().map(|field| &field.ty).collect(),
        Type::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty.as_ref()).collect(),
        _ => Vec::new(),
    }
}

fn name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Record(record) => record.name.as_deref(),
        Type::Variant(variant) => variant.name.as_deref(),
        Type::Enum(cases) | Type::Flags(cases) => cases.name.as_deref(),
        _ => None,
    }
}

fn collect(ty: &Type, found: &mut BTreeMap<String, Type>) {
    if let Some(name) = name(ty) {
        found.entry(name.to_owned()).or_insert_with(|| ty.clone());
    }
    for part in parts(ty) {
        collect(part, found);
    }
}

/// Whether a type is, or holds, what does not cross the public boundary.
#[must_use]
pub fn is_opaque(ty: &Type) -> bool {
    matches!(ty, Type::Opaque(_)) || parts(ty).into_iter().any(is_opaque)
}

/// Whether a type mentions the type of this name.
#[must_use]
pub fn mentions(ty: &Type, wanted: &str) -> bool {
    name(ty) == Some(wanted) || parts(ty).into_iter().any(|part| mentions(part, wanted))
}

/// What changed in a named type itself, a sentence each. Changes inside of other named types that it holds are theirs.
#[must_use]
pub fn changes(old: &Type, new: &Type) -> Vec<String> {
    match (old, new) {
        (Type::Record(old), Type::Record(new)) => {
            let part = |field: &Field| (field.name.clone(), Some(field.ty.clone()));
            members("field", old.fields.iter().map(part), new.fields.iter().map(part))
        }
        (Type::Variant(old), Type::Variant(new)) => {
            let part = |case: &Case| (case.name.clone(), case.ty.clone());
            members("case", old.cases.iter().map(part), new.cases.iter().map(part))
        }
        (Type::Enum(old), Type::Enum(new)) => names("case", old, new),
        (Type::Flags(old), Type::Flags(new)) => names("flag", old, new),
        _ if kind(old) != kind(new) => vec![format!("was {}, is {}", kind(old), kind(new))],
        _ => Vec::new(),
    }
}

fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Record(_) => "a record",
        Type::Variant(_) => "a variant",
        Type::Enum(_) => "an enum",
        Type::Flags(_) => "a set of flags",
        _ => "a type",
    }
}

fn names(what: &str, old: &Cases, new: &Cases) -> Vec<String> {
    let part = |name: &Label| (name.clone(), None);
    members(what, old.names.iter().map(part), new.names.iter().map(part))
}

fn members(
    what: &str,
    old: impl Iterator<Item = (Label, Option<Type>)>,
    new: impl Iterator<Item = (Label, Option<Type>)>,
) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
    let find = |list: &[(Label, Option<Type>)], name: &Label| list.iter().position(|(other, _)| other == name);
    let mut changes = Vec::new();
    for (name, was) in &old {
        match find(&new, name).map(|index| &new[index].1) {
            None => changes.push(format!("{what} {} was removed", name.wit)),
            Some(is) => changes.extend(retyped(what, &name.wit, was.as_ref(), is.as_ref())),
        }
    }
    let added = new.iter().filter(|(name, _)| find(&old, name).is_none());
    changes.extend(added.map(|(name, ty)| match ty {
        Some(ty) => format!("{what} {} of type {} was added", name.wit, ty.wit()),
        None => format!("{what} {} was added", name.wit),
    }));
    // Linking compares in order, so the order is part of the type.
    if changes.is_empty() && old.iter().zip(&new).any(|((old, _), (new, _))| old != new) {
        changes.push(format!("the {what}s come in another order"));
    }
    changes
}

fn retyped(what: &str, name: &str, was: Option<&Type>, is: Option<&Type>) -> Option<String> {
    let text = |ty: Option<&Type>| ty.map_or_else(|| "nothing".to_owned(), Type::wit);
    let same = match (was, is) {
        (Some(was), Some(is)) => was.same_shape(is) || was.wit() == is.wit(),
        (None, None) => true,
        _ => false,
    };
    (!same).then(|| format!("{what} {name} was {}, is {}", text(was), text(is)))
}

/// The type as WIT defines it.
#[must_use]
pub fn definition(ty: &Type) -> String {
    let body = |lines: Vec<String>| lines.join(", ");
    let names = |cases: &Cases| body(cases.names.iter().map(|name| name.wit.to_string()).collect());
    match ty {
        Type::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name.wit, field.ty.wit()));
            format!("record {} {{ {} }}", ty.wit(), body(fields.collect()))
        }
        Type::Variant(variant) => {
            let case = |case: &Case| match &case.ty {
                Some(payload) => format!("{}({})", case.name.wit, payload.wit()),
                None => case.name.wit.to_string(),
            };
            format!("variant {} {{ {} }}", ty.wit(), body(variant.cases.iter().map(case).collect()))
        }
        Type::Enum(cases) => format!("enum {} {{ {} }}", ty.wit(), names(cases)),
        Type::Flags(cases) => format!("flags {} {{ {} }}", ty.wit(), names(cases)),
        ty => ty.wit(),
    }
}
