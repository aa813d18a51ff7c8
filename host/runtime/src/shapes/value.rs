//! Rust types of parameters, and the WIT types that they stand for.

use midplane_model::{
    Fault,
    schema::{Function, Type},
};
use serde_json::Value as Json;

use super::Bytes;
use crate::convert::{Argument, Path, lift_bytes, lift_text, push_bytes, push_text};

pub trait Value: Sized {
    fn is(ty: &Type) -> bool;

    fn lift<'a>(path: &mut Path<'a>, ty: &'a Type, given: Option<Json>) -> Result<Self, Fault>;

    fn lower(&self, json: &mut String, ty: &Type) -> Result<(), Fault>;
}

impl Value for Bytes {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::List(item) if matches!(**item, Type::U8))
    }

    fn lift<'a>(path: &mut Path<'a>, _: &'a Type, given: Option<Json>) -> Result<Self, Fault> {
        lift_bytes(path, given)
    }

    fn lower(&self, json: &mut String, _: &Type) -> Result<(), Fault> {
        push_bytes(json, self);
        Ok(())
    }
}

impl Value for String {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::String | Type::Json)
    }

    fn lift<'a>(path: &mut Path<'a>, ty: &'a Type, given: Option<Json>) -> Result<Self, Fault> {
        lift_text(path, ty, given)
    }

    fn lower(&self, json: &mut String, ty: &Type) -> Result<(), Fault> {
        push_text(json, ty, self)
    }
}

/// A tuple of parameters.
pub trait Params: Sized {
    fn fit(function: &Function) -> bool;

    fn lift(arguments: Vec<Argument<'_>>) -> Result<Self, Fault>;
}

impl Params for () {
    fn fit(function: &Function) -> bool {
        function.params.is_empty()
    }

    fn lift(_: Vec<Argument<'_>>) -> Result<Self, Fault> {
        Ok(())
    }
}

impl<A: Value> Params for (A,) {
    fn fit(function: &Function) -> bool {
        matches!(&function.params[..], [a] if A::is(&a.ty))
    }

    fn lift(arguments: Vec<Argument<'_>>) -> Result<Self, Fault> {
        let mut arguments = arguments.into_iter();
        Ok((next(&mut arguments)?,))
    }
}

impl<A: Value, B: Value> Params for (A, B) {
    fn fit(function: &Function) -> bool {
        matches!(&function.params[..], [a, b] if A::is(&a.ty) && B::is(&b.ty))
    }

    fn lift(arguments: Vec<Argument<'_>>) -> Result<Self, Fault> {
        let mut arguments = arguments.into_iter();
        Ok((next(&mut arguments)?, next(&mut arguments)?))
    }
}

/// As many as the function has parameters, which [`Params::fit`] has counted.
fn next<'a, T: Value>(arguments: &mut impl Iterator<Item = Argument<'a>>) -> Result<T, Fault> {
    let Argument { step, ty, given } = arguments.next().ok_or_else(Fault::internal)?;
    Path::default().below(step, |path| T::lift(path, ty, given))
}
