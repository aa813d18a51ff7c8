//! From WIT, as text or inside a component, to the schema of the model.

use std::{collections::HashMap, path::Path, sync::Arc};

use midplane_model::{
    limits::{TYPE_DEPTH_MAX, TYPE_PARTS_MAX},
    name::snake,
    schema::{Case, Cases, Field, Function, Interface, Label, Param, Record, Type, Variant},
};
use wit_parser::{
    FunctionKind, Handle, InterfaceId, PackageId, PackageName, Resolve, ResolveError, SourceMap, TypeDefKind, TypeId,
    UnresolvedPackageGroup, WorldItem, WorldKey,
    decoding::{DecodedWasm, decode},
};

/// Why WIT could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WitError {
    #[error("the file is no component: {0}")]
    DecodeComponent(String),
    #[error("the file is a WIT package, not a component; build it for a world that exports something")]
    NoComponent,
    #[error("WIT of {name} cannot be parsed: {reason}")]
    ParseText { name: String, reason: String },
    #[error("the WIT of the native services has no interface {name:?}")]
    FindNative { name: &'static str },
}

/// Imports and exports of a component, with the docs it carries.
pub struct ComponentInterfaces {
    pub imports: Vec<Interface>,
    pub exports: Vec<Interface>,
}

/// Reads the interfaces a component exports and imports. Functions exported outside an interface are left out: a service
/// has a name.
pub fn interfaces_of_component(bytes: &[u8]) -> Result<ComponentInterfaces, WitError> {
    let decoded = decode(bytes).map_err(|error| WitError::DecodeComponent(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else { return Err(WitError::NoComponent) };
    let mut reader = Reader::new(&resolve);
    let world = &resolve.worlds[world];
    let mut read = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| -> Vec<Interface> {
        items
            .iter()
            .filter_map(|(_, item)| match item {
                WorldItem::Interface { id, .. } => Some(reader.interface(*id)),
                _ => None,
            })
            .collect()
    };
    Ok(ComponentInterfaces { imports: read(&world.imports), exports: read(&world.exports) })
}

/// Reads all interfaces of WIT packages, each a list of `(file name, text)`. A package may use any other of them, in whatever
/// order they come; one that is given twice counts once.
pub fn interfaces_of_packages(packages: &[Vec<(&str, &str)>]) -> Result<Vec<Interface>, WitError> {
    let mut resolve = Resolve::default();
    let mut ids: Vec<PackageId> = Vec::new();
    let mut waiting: Vec<UnresolvedPackageGroup> =
        packages.iter().map(|files| parse(files)).collect::<Result<_, _>>()?;
    while !waiting.is_empty() {
        let known = |name: &PackageName| resolve.package_names.contains_key(name);
        waiting.retain(|group| !known(&group.main.name));
        let missing = |group: &UnresolvedPackageGroup| group.main.foreign_deps.keys().any(|name| !known(name));
        let Some(index) = waiting.iter().position(|group| !missing(group)) else { break };
        let group = waiting.remove(index);
        let name = group.main.name.to_string();
        let fail = |error: ResolveError| WitError::ParseText { name, reason: error.to_string() };
        ids.push(resolve.push_group(group).map_err(fail)?);
    }
    if let Some(group) = waiting.first() {
        let needs: Vec<String> = group.main.foreign_deps.keys().map(ToString::to_string).collect();
        let reason = format!("it uses {}, of which one is not here", needs.join(", "));
        return Err(WitError::ParseText { name: group.main.name.to_string(), reason });
    }
    let interfaces = ids.iter().flat_map(|id| resolve.packages[*id].interfaces.values().copied());
    let interfaces: Vec<InterfaceId> = interfaces.collect();
    let mut reader = Reader::new(&resolve);
    Ok(interfaces.into_iter().map(|id| reader.interface(id)).collect())
}

fn parse(files: &[(&str, &str)]) -> Result<UnresolvedPackageGroup, WitError> {
    let mut sources = SourceMap::default();
    for (name, text) in files {
        sources.push(Path::new(name), *text);
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    sources
        .parse()
        .map_err(|(sources, error)| WitError::ParseText { name: names.join(", "), reason: error.render(&sources) })
}

/// The methods an exported interface gives its plugin: `(name, function)`.
#[must_use]
pub fn interface_methods(prefix: &str, interface: &Interface) -> Vec<(Arc<str>, Arc<Function>)> {
    let own = snake(&interface.name);
    interface
        .functions
        .iter()
        .map(|function| {
            let name = if own == prefix {
                format!("{prefix}.{}", function.name.json)
            } else {
                format!("{prefix}.{own}.{}", function.name.json)
            };
            (name.into(), function.clone())
        })
        .collect()
}

struct Reader<'a> {
    resolve: &'a Resolve,
    types: HashMap<TypeId, Type>,
}

impl<'a> Reader<'a> {
    /// Reads every type in the order of definition: each finds those that it is made of, and nesting costs no stack.
    fn new(resolve: &'a Resolve) -> Self {
        let mut reader = Self { resolve, types: HashMap::new() };
        for (id, _) in &resolve.types {
            reader.named(id);
        }
        reader
    }

    fn interface(&mut self, id: InterfaceId) -> Interface {
        let interface = &self.resolve.interfaces[id];
        let name = interface.name.clone().unwrap_or_default();
        let id = self.resolve.id_of(id).unwrap_or_else(|| name.clone());
        let functions = interface
            .functions
            .values()
            .filter(|function| matches!(function.kind, FunctionKind::Freestanding | FunctionKind::AsyncFreestanding))
            .map(|function| Arc::new(self.function(function)))
            .collect();
        Interface { id: id.into(), name: name.into(), docs: interface.docs.contents.clone(), functions }
    }

    fn function(&mut self, function: &wit_parser::Function) -> Function {
        let params = function.params.iter().map(|p| Param { name: Label::new(&p.name), ty: self.ty(&p.ty) }).collect();
        Function {
            name: Label::new(&function.name),
            docs: function.docs.contents.clone(),
            params,
            result: function.result.as_ref().map(|ty| self.ty(ty)),
            is_async: matches!(function.kind, FunctionKind::AsyncFreestanding),
        }
    }

    fn ty(&mut self, ty: &wit_parser::Type) -> Type {
        use wit_parser::Type as W;
        match ty {
            W::Bool => Type::Bool,
            W::U8 => Type::U8,
            W::U16 => Type::U16,
            W::U32 => Type::U32,
            W::U64 => Type::U64,
            W::S8 => Type::S8,
            W::S16 => Type::S16,
            W::S32 => Type::S32,
            W::S64 => Type::S64,
            W::F32 => Type::F32,
            W::F64 => Type::F64,
            W::Char => Type::Char,
            W::String => Type::String,
            W::ErrorContext => Type::Opaque("error-context".into()),
            W::Id(id) => self.named(*id),
        }
    }

    fn named(&mut self, id: TypeId) -> Type {
        if let Some(ty) = self.types.get(&id) {
            return ty.clone();
        }
        let mut ty = self.define(id);
        if !within_bounds(&ty, TYPE_DEPTH_MAX, &mut TYPE_PARTS_MAX.clone()) {
            ty = Type::Opaque(format!("a type of more than {TYPE_PARTS_MAX} parts or {TYPE_DEPTH_MAX} levels").into());
        }
        self.types.insert(id, ty.clone());
        ty
    }

    fn define(&mut self, id: TypeId) -> Type {
        let def = &self.resolve.types[id];
        let name: Option<Arc<str>> = def.name.as_deref().map(Into::into);
        let docs = def.docs.contents.clone();
        match &def.kind {
            // `json` is known by its name: an alias of string that the `types` interface of midplane:host defines.
            TypeDefKind::Type(wit_parser::Type::String) if name.as_deref() == Some("json") => Type::Json,
            TypeDefKind::Type(ty) => self.ty(ty),
            TypeDefKind::List(ty) => Type::List(Arc::new(self.ty(ty))),
            TypeDefKind::Option(ty) => Type::Option(Arc::new(self.ty(ty))),
            TypeDefKind::Result(result) => Type::Result {
                ok: result.ok.as_ref().map(|ty| Arc::new(self.ty(ty))),
                err: result.err.as_ref().map(|ty| Arc::new(self.ty(ty))),
            },
            TypeDefKind::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(|ty| self.ty(ty)).collect()),
            TypeDefKind::Record(record) => {
                let fields = record
                    .fields
                    .iter()
                    .map(|f| Field { name: Label::new(&f.name), docs: f.docs.contents.clone(), ty: self.ty(&f.ty) })
                    .collect();
                Type::Record(Arc::new(Record { name, docs, fields }))
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant
                    .cases
                    .iter()
                    .map(|c| Case {
                        name: Label::new(&c.name),
                        docs: c.docs.contents.clone(),
                        ty: c.ty.as_ref().map(|ty| self.ty(ty)),
                    })
                    .collect();
                Type::Variant(Arc::new(Variant { name, docs, cases }))
            }
            TypeDefKind::Enum(e) => cases(Type::Enum, name, docs, e.cases.iter().map(|c| c.name.as_str())),
            TypeDefKind::Flags(f) => cases(Type::Flags, name, docs, f.flags.iter().map(|c| c.name.as_str())),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
                let name = self.resolve.types[*id].name.as_deref().unwrap_or("resource");
                Type::Opaque(name.into())
            }
            TypeDefKind::Stream(_) => Type::Opaque("stream".into()),
            TypeDefKind::Future(_) => Type::Opaque("future".into()),
            _ => Type::Opaque(name.unwrap_or_else(|| "unsupported type".into())),
        }
    }
}

/// A few lines of WIT can name a type of any size, because each type may use another twice.
fn within_bounds(ty: &Type, depth: usize, parts: &mut usize) -> bool {
    let (Some(depth), Some(rest)) = (depth.checked_sub(1), parts.checked_sub(1)) else { return false };
    *parts = rest;
    let mut within = |ty: &Type| within_bounds(ty, depth, parts);
    match ty {
        Type::List(ty) | Type::Option(ty) => within(ty),
        Type::Result { ok, err } => ok.iter().chain(err).all(|ty| within(ty)),
        Type::Tuple(types) => types.iter().all(within),
        Type::Record(record) => record.fields.iter().all(|field| within(&field.ty)),
        Type::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty.as_ref()).all(within),
        _ => true,
    }
}

fn cases<'a>(
    make: fn(Arc<Cases>) -> Type,
    name: Option<Arc<str>>,
    docs: Option<String>,
    names: impl Iterator<Item = &'a str>,
) -> Type {
    make(Arc::new(Cases { name, docs, names: names.map(Label::new).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = r"
        package acme:spell@1.2.0;
        /// Checks words.
        interface checker {
            type json = string;
            record finding { word: string, at: u32 }
            /// Finds mistakes.
            check: func(text: string, options: option<json>) -> result<list<finding>, string>;
        }
    ";

    #[test]
    fn wit_text_becomes_methods_with_types_and_docs() {
        let interfaces = interfaces_of_packages(&[vec![("spell.wit", WIT)]]).unwrap();
        let checker = &interfaces[0];
        assert_eq!(&*checker.id, "acme:spell/checker@1.2.0");
        assert_eq!(checker.docs.as_deref(), Some("Checks words."));
        let methods = interface_methods("spell", checker);
        assert_eq!(&*methods[0].0, "spell.checker.check");
        assert_eq!(
            methods[0].1.signature(),
            "check: func(text: string, options: option<json>) -> result<list<finding>, string>"
        );
        assert_eq!(interface_methods("checker", checker)[0].0.as_ref(), "checker.check");
    }

    #[test]
    fn a_type_of_any_size_costs_no_more_than_the_bounds() {
        let wide = (1..64).fold("type t0 = tuple<u8, u8>;".to_owned(), |text, n| {
            format!("{text} type t{n} = tuple<t{0}, t{0}>;", n - 1)
        });
        let deep = (1..5_000)
            .fold("type d0 = list<u8>;".to_owned(), |text, n| format!("{text} type d{n} = list<d{}>;", n - 1));
        let wit = format!("package a:b; interface c {{ {wide} {deep} f: func(a: t9, b: t63, c: d60, d: d4999); }}");
        let interfaces = interfaces_of_packages(&[vec![("a.wit", &wit)]]).unwrap();
        let function = &interfaces[0].functions[0];
        let schemas: Vec<String> =
            function.params.iter().map(|param| crate::json_schema(&param.ty).to_string()).collect();
        let crosses: Vec<bool> = schemas.iter().map(|schema| !schema.contains("does not cross")).collect();
        assert_eq!(crosses, [true, false, true, false]);
        assert!(schemas.iter().all(|schema| schema.len() < 1_000_000));
    }

    #[test]
    fn a_file_that_is_no_component_is_named_so() {
        let error = interfaces_of_component(b"MZ").err().unwrap().to_string();
        assert!(error.contains("no component"), "{error}");
    }

    #[test]
    fn every_package_of_the_contract_parses() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut resolve = Resolve::default();
        for package in ["host", "workspace", "files", "terminals", "native"] {
            resolve.push_dir(root.join(package)).unwrap_or_else(|error| panic!("{package}: {error:#}"));
        }
    }
}
