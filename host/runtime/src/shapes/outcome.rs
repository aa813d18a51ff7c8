//! Rust types of results: a value, or an `ok` and an error.

use midplane_model::{Fault, schema::Type};
use serde_json::{Value as Json, json};

use super::{Bytes, value::Value};
use crate::{
    bindings::Error,
    convert::{mistyped, push_text, service_fault},
};

/// What a function returns.
pub trait Outcome: Sized {
    fn is(ty: &Type) -> bool;

    /// A fault as a value of this type, where it has a place for one.
    fn of_fault(fault: &Fault) -> Option<Self>;

    fn lower(self, ty: &Type) -> Result<String, Fault>;
}

impl<T: Value> Outcome for T {
    fn is(ty: &Type) -> bool {
        <T as Value>::is(ty)
    }

    fn of_fault(_: &Fault) -> Option<Self> {
        None
    }

    fn lower(self, ty: &Type) -> Result<String, Fault> {
        let mut json = String::new();
        Value::lower(&self, &mut json, ty)?;
        Ok(json)
    }
}

impl<T: Payload, E: Failure> Outcome for Result<T, E> {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::Result { ok, err: Some(err) } if T::is(ok.as_deref()) && E::is(err))
    }

    fn of_fault(fault: &Fault) -> Option<Self> {
        Some(Err(E::of_fault(fault)))
    }

    fn lower(self, ty: &Type) -> Result<String, Fault> {
        let Type::Result { ok, err: Some(err) } = ty else { return Err(mistyped()) };
        match self {
            Ok(payload) => {
                let mut json = String::new();
                payload.lower(&mut json, ok.as_deref())?;
                Ok(json)
            }
            Err(failure) => Err(service_fault(failure.lower(err)?)),
        }
    }
}

/// What follows `ok`, which may be nothing.
pub trait Payload: Sized {
    fn is(ty: Option<&Type>) -> bool;

    fn lower(&self, json: &mut String, ty: Option<&Type>) -> Result<(), Fault>;
}

impl Payload for () {
    fn is(ty: Option<&Type>) -> bool {
        ty.is_none()
    }

    fn lower(&self, json: &mut String, _: Option<&Type>) -> Result<(), Fault> {
        json.push_str("null");
        Ok(())
    }
}

impl<T: Value> Payload for T {
    fn is(ty: Option<&Type>) -> bool {
        ty.is_some_and(<T as Value>::is)
    }

    fn lower(&self, json: &mut String, ty: Option<&Type>) -> Result<(), Fault> {
        Value::lower(self, json, ty.ok_or_else(mistyped)?)
    }
}

impl Payload for Option<Bytes> {
    fn is(ty: Option<&Type>) -> bool {
        matches!(ty, Some(Type::Option(some)) if <Bytes as Value>::is(some))
    }

    fn lower(&self, json: &mut String, ty: Option<&Type>) -> Result<(), Fault> {
        match self {
            Some(bytes) => Value::lower(bytes, json, ty.ok_or_else(mistyped)?),
            None => Payload::lower(&(), json, None),
        }
    }
}

/// What follows `err`.
pub trait Failure: Sized {
    fn is(ty: &Type) -> bool;

    fn of_fault(fault: &Fault) -> Self;

    fn lower(self, ty: &Type) -> Result<Json, Fault>;
}

impl Failure for String {
    fn is(ty: &Type) -> bool {
        <Self as Value>::is(ty)
    }

    fn of_fault(fault: &Fault) -> Self {
        fault.to_string()
    }

    fn lower(self, ty: &Type) -> Result<Json, Fault> {
        let mut json = String::new();
        push_text(&mut json, ty, &self)?;
        serde_json::from_str(&json).map_err(|_| mistyped())
    }
}

/// The contract's error record.
impl Failure for Error {
    fn is(ty: &Type) -> bool {
        details_of(ty).is_some()
    }

    fn of_fault(fault: &Fault) -> Self {
        fault.clone().into()
    }

    fn lower(self, ty: &Type) -> Result<Json, Fault> {
        let details = match (self.details, details_of(ty)) {
            (Some(details), Some(ty)) => Failure::lower(details, ty)?,
            _ => Json::Null,
        };
        Ok(json!({ "code": self.code, "message": self.message, "details": details }))
    }
}

/// The type of the details in a record that has the shape of the contract's error: text, or a `json`.
fn details_of(ty: &Type) -> Option<&Type> {
    let Type::Record(record) = ty else { return None };
    let [code, message, details] = &record.fields[..] else { return None };
    let Type::Option(inner) = &details.ty else { return None };
    let named = (&*code.name.wit, &*message.name.wit, &*details.name.wit) == ("code", "message", "details");
    let text = [&code.ty, &message.ty, inner].into_iter().all(<String as Value>::is);
    (named && text).then_some(inner)
}
