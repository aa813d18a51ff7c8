//! Types and functions of services, as read from WIT. Everything that is derived (JSON conversion, OpenRPC, documents)
//! is derived from these.

use std::sync::Arc;

use crate::name::snake;

/// A WIT name and its JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// As in WIT: `open-file`.
    pub wit: Arc<str>,
    /// As in JSON: `open_file`.
    pub json: Arc<str>,
}

impl Label {
    #[must_use]
    pub fn new(wit: &str) -> Self {
        Self { wit: wit.into(), json: snake(wit).into() }
    }
}

/// A WIT interface that is served: `acme:spell/checker@1.2.0`.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Full id as the component exports it.
    pub id: Arc<str>,
    /// Last part, without version: `checker`.
    pub name: Arc<str>,
    pub docs: Option<String>,
    pub functions: Vec<Arc<Function>>,
}

#[derive(Debug, Clone)]
pub struct Function {
    pub name: Label,
    pub docs: Option<String>,
    pub params: Vec<Param>,
    pub result: Option<Type>,
    /// `async func` in WIT. Callers never need to know.
    pub is_async: bool,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: Label,
    pub ty: Type,
}

/// A WIT type. Records, variants, enums and flags keep their WIT name for documents; the name plays no part in
/// [`Type::same_shape`].
#[derive(Debug, Clone)]
pub enum Type {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    /// The alias `midplane:host/types.json` of string: JSON text inside the component, the value itself outside.
    Json,
    List(Arc<Type>),
    Option(Arc<Type>),
    Result {
        ok: Option<Arc<Type>>,
        err: Option<Arc<Type>>,
    },
    Tuple(Arc<[Type]>),
    Record(Arc<Record>),
    Variant(Arc<Variant>),
    Enum(Arc<Cases>),
    Flags(Arc<Cases>),
    /// A resource, stream or future: it does not cross the public boundary. Holds what to call it in an error.
    Opaque(Arc<str>),
}

#[derive(Debug, Clone)]
pub struct Record {
    pub name: Option<Arc<str>>,
    pub docs: Option<String>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: Label,
    pub docs: Option<String>,
    pub ty: Type,
}

#[derive(Debug, Clone)]
pub struct Variant {
    pub name: Option<Arc<str>>,
    pub docs: Option<String>,
    pub cases: Vec<Case>,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: Label,
    pub docs: Option<String>,
    pub ty: Option<Type>,
}

/// The names of an enum or of flags.
#[derive(Debug, Clone)]
pub struct Cases {
    pub name: Option<Arc<str>>,
    pub docs: Option<String>,
    pub names: Vec<Label>,
}

impl Function {
    /// The same parameters (by name and type) and the same result. Colour does not count: the host bridges it.
    #[must_use]
    pub fn same_shape(&self, other: &Function) -> bool {
        self.params.len() == other.params.len()
            && self.params.iter().zip(&other.params).all(|(a, b)| a.name == b.name && a.ty.same_shape(&b.ty))
            && same_optional(self.result.as_ref(), other.result.as_ref())
    }

    /// `check(text: string) -> list<string>`, for messages and documents.
    #[must_use]
    pub fn signature(&self) -> String {
        let params: Vec<String> = self.params.iter().map(|p| format!("{}: {}", p.name.wit, p.ty.wit())).collect();
        let result = self.result.as_ref().map(|ty| format!(" -> {}", ty.wit())).unwrap_or_default();
        let colour = if self.is_async { "async func" } else { "func" };
        format!("{}: {colour}({}){result}", self.name.wit, params.join(", "))
    }
}

fn same_optional(a: Option<&Type>, b: Option<&Type>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same_shape(b),
        _ => false,
    }
}

impl Type {
    /// Structural equality, as the component model's linking rules have it: field and case names count, type names and
    /// docs do not, and `json` is a string.
    #[must_use]
    pub fn same_shape(&self, other: &Type) -> bool {
        use Type as T;
        match (self, other) {
            (T::String | T::Json, T::String | T::Json) => true,
            (T::List(a), T::List(b)) | (T::Option(a), T::Option(b)) => a.same_shape(b),
            (T::Result { ok: a, err: x }, T::Result { ok: b, err: y }) => {
                same_optional(a.as_deref(), b.as_deref()) && same_optional(x.as_deref(), y.as_deref())
            }
            (T::Tuple(a), T::Tuple(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same_shape(b)),
            (T::Record(a), T::Record(b)) => {
                a.fields.len() == b.fields.len()
                    && a.fields.iter().zip(&b.fields).all(|(a, b)| a.name == b.name && a.ty.same_shape(&b.ty))
            }
            (T::Variant(a), T::Variant(b)) => {
                a.cases.len() == b.cases.len()
                    && a.cases
                        .iter()
                        .zip(&b.cases)
                        .all(|(a, b)| a.name == b.name && same_optional(a.ty.as_ref(), b.ty.as_ref()))
            }
            (T::Enum(a), T::Enum(b)) | (T::Flags(a), T::Flags(b)) => a.names == b.names,
            (T::Opaque(_), _) | (_, T::Opaque(_)) => false,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// The type in WIT notation; named types by their name.
    #[must_use]
    pub fn wit(&self) -> String {
        let named = |name: &Option<Arc<str>>, kind: &str| name.as_deref().unwrap_or(kind).to_owned();
        match self {
            Type::Bool => "bool".into(),
            Type::S8 => "s8".into(),
            Type::U8 => "u8".into(),
            Type::S16 => "s16".into(),
            Type::U16 => "u16".into(),
            Type::S32 => "s32".into(),
            Type::U32 => "u32".into(),
            Type::S64 => "s64".into(),
            Type::U64 => "u64".into(),
            Type::F32 => "f32".into(),
            Type::F64 => "f64".into(),
            Type::Char => "char".into(),
            Type::String => "string".into(),
            Type::Json => "json".into(),
            Type::List(ty) => format!("list<{}>", ty.wit()),
            Type::Option(ty) => format!("option<{}>", ty.wit()),
            Type::Result { ok, err } => match (ok, err) {
                (None, None) => "result".into(),
                (Some(ok), None) => format!("result<{}>", ok.wit()),
                (None, Some(err)) => format!("result<_, {}>", err.wit()),
                (Some(ok), Some(err)) => format!("result<{}, {}>", ok.wit(), err.wit()),
            },
            Type::Tuple(types) => format!("tuple<{}>", types.iter().map(Type::wit).collect::<Vec<_>>().join(", ")),
            Type::Record(record) => named(&record.name, "record"),
            Type::Variant(variant) => named(&variant.name, "variant"),
            Type::Enum(cases) => named(&cases.name, "enum"),
            Type::Flags(cases) => named(&cases.name, "flags"),
            Type::Opaque(what) => what.to_string(),
        }
    }
}
