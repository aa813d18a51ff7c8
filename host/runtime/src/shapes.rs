//! Fast paths for typed imports that carry bytes.
//!
//! A dynamic value of wasmtime is 40 bytes a piece, so a `list<u8>` costs about a thousand times more through dynamic values
//! than through a Rust type. The common signatures with bytes are therefore linked and entered by Rust types; the values cross
//! between the stores as one box. Everything else goes the dynamic way, which is as quick for strings and small records.

use std::{any::Any, marker::PhantomData, sync::Arc};

use midplane_model::{
    BoxFuture, Fault,
    schema::{Function, Type},
};
use wasmtime::component::{
    Accessor, ComponentNamedList, ComponentType, Func, GuestTaskId, Lift, LinkerInstance, Lower, Val,
};

use crate::{
    instance::Guest,
    link::{Leaving, Route},
};

/// Arguments or results on their way from one store to another.
pub enum Values {
    Dynamic(Vec<Val>),
    /// The tuple of parameters, or the result, of the function's [`Shape`].
    Shaped(Box<dyn Any + Send>),
}

/// One signature as Rust types.
pub trait Shape: Send + Sync {
    fn fits(&self, function: &Function) -> bool;

    /// Defines an import of this signature.
    fn define(&self, instance: &mut LinkerInstance<'_, Guest>, route: Arc<Route>) -> wasmtime::Result<()>;

    /// Enters an export of this signature, and says which task that began. The arguments are those that an import of the
    /// same shape has lifted.
    fn enter<'a>(
        &self,
        accessor: &'a Accessor<Guest>,
        func: Func,
        args: Box<dyn Any + Send>,
        began: &'a (dyn Fn(GuestTaskId) + Sync),
    ) -> BoxFuture<'a, wasmtime::Result<Box<dyn Any + Send>>>;
}

/// The shape of a function, if it has one.
pub fn of(function: &Function) -> Option<&'static dyn Shape> {
    SHAPES.iter().copied().find(|shape| shape.fits(function))
}

type Bytes = Vec<u8>;

const SHAPES: &[&dyn Shape] = &[
    &Of::<(Bytes,), Bytes>(PhantomData),
    &Of::<(Bytes,), Result<Bytes, String>>(PhantomData),
    &Of::<(Bytes,), Result<(), String>>(PhantomData),
    &Of::<(Bytes,), Result<String, String>>(PhantomData),
    &Of::<(Bytes,), String>(PhantomData),
    &Of::<(String,), Bytes>(PhantomData),
    &Of::<(String,), Result<Bytes, String>>(PhantomData),
    &Of::<(String, Bytes), Bytes>(PhantomData),
    &Of::<(String, Bytes), Result<Bytes, String>>(PhantomData),
    &Of::<(String, Bytes), Result<(), String>>(PhantomData),
];

struct Of<P, R>(PhantomData<fn(P) -> R>);

impl<P, R> Shape for Of<P, R>
where
    P: Params + ComponentNamedList + Lift + Lower + Send + Sync + 'static,
    R: Value + ComponentType + Lift + Lower + Send + Sync + 'static,
{
    fn fits(&self, function: &Function) -> bool {
        P::fit(function) && function.result.as_ref().is_some_and(R::is)
    }

    fn define(&self, instance: &mut LinkerInstance<'_, Guest>, route: Arc<Route>) -> wasmtime::Result<()> {
        let name = route.function.name.wit.to_string();
        if route.function.is_async {
            return instance.func_wrap_concurrent(&name, move |accessor, params: P| {
                let leaving = accessor.with(|access| route.leave(access));
                Box::pin(answer::<P, R>(leaving, params))
            });
        }
        instance.func_wrap_async(&name, move |store, params: P| {
            let leaving = route.leave(store);
            Box::new(answer::<P, R>(leaving, params))
        })
    }

    fn enter<'a>(
        &self,
        accessor: &'a Accessor<Guest>,
        func: Func,
        args: Box<dyn Any + Send>,
        began: &'a (dyn Fn(GuestTaskId) + Sync),
    ) -> BoxFuture<'a, wasmtime::Result<Box<dyn Any + Send>>> {
        Box::pin(async move {
            let args = args.downcast::<P>().map_err(|_| wasmtime::Error::msg("arguments of another shape"))?;
            let (typed, call) = accessor.with(|mut access| -> wasmtime::Result<_> {
                let typed = func.typed::<P, (R,)>(&mut access)?;
                Ok((typed, typed.start_call_concurrent(access, *args)?))
            })?;
            began(call.task());
            let (result,) = typed.finish_call_concurrent(accessor, call).await?;
            Ok(Box::new(result) as Box<dyn Any + Send>)
        })
    }
}

/// What the importing guest gets: the result, the fault as its own error, or its end.
async fn answer<P: Any + Send, R: Value + 'static>(leaving: Leaving, params: P) -> wasmtime::Result<(R,)> {
    let fault = match leaving.call(Values::Shaped(Box::new(params))).await {
        Ok(Values::Shaped(result)) => match result.downcast::<R>() {
            Ok(result) => return Ok((*result,)),
            Err(_) => Fault::internal(),
        },
        // Equal signatures have equal shapes.
        Ok(Values::Dynamic(_)) => Fault::internal(),
        Err(fault) => fault,
    };
    match R::of_fault(&fault) {
        Some(error) => Ok((error,)),
        None => Err(leaving.end(&fault).await),
    }
}

/// A Rust type and the WIT type it stands for.
trait Value: Sized {
    fn is(ty: &Type) -> bool;

    /// A fault as a value of this type, where it has a place for one.
    fn of_fault(_: &Fault) -> Option<Self> {
        None
    }
}

impl Value for Bytes {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::List(item) if matches!(**item, Type::U8))
    }
}

impl Value for String {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::String | Type::Json)
    }
}

impl<T: MaybeUnit> Value for Result<T, String> {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::Result { ok, err: Some(err) } if T::is_optional(ok.as_deref()) && String::is(err))
    }

    fn of_fault(fault: &Fault) -> Option<Self> {
        Some(Err(fault.to_string()))
    }
}

/// The payload of a result, which may be none.
trait MaybeUnit {
    fn is_optional(ty: Option<&Type>) -> bool;
}

impl MaybeUnit for () {
    fn is_optional(ty: Option<&Type>) -> bool {
        ty.is_none()
    }
}

impl MaybeUnit for Bytes {
    fn is_optional(ty: Option<&Type>) -> bool {
        ty.is_some_and(Bytes::is)
    }
}

impl MaybeUnit for String {
    fn is_optional(ty: Option<&Type>) -> bool {
        ty.is_some_and(String::is)
    }
}

/// A tuple of parameters.
trait Params {
    fn fit(function: &Function) -> bool;
}

impl<A: Value> Params for (A,) {
    fn fit(function: &Function) -> bool {
        matches!(&function.params[..], [a] if A::is(&a.ty))
    }
}

impl<A: Value, B: Value> Params for (A, B) {
    fn fit(function: &Function) -> bool {
        matches!(&function.params[..], [a, b] if A::is(&a.ty) && B::is(&b.ty))
    }
}
