//! Fast paths for signatures that carry bytes, between plugins and from JSON.
//!
//! A dynamic value of wasmtime is 40 bytes a piece, so a `list<u8>` costs about a thousand times more through dynamic values
//! than through a Rust type. The common signatures with bytes are therefore linked and entered by Rust types; the values cross
//! between the stores as one box. Everything else goes the dynamic way, which is as quick for strings and small records.

mod outcome;
mod value;

use std::{any::Any, marker::PhantomData, sync::Arc};

use midplane_model::{BoxFuture, Fault, schema::Function};
use serde_json::Value as Json;
use wasmtime::component::{
    Accessor, ComponentNamedList, ComponentType, Func, GuestTaskId, Lift, LinkerInstance, Lower, Val,
};

use self::{outcome::Outcome, value::Params};
use crate::{
    bindings::Error,
    convert,
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

    /// Parameters from JSON, as [`crate::convert::lift_params`] reads them.
    fn lift(&self, function: &Function, params: Json) -> Result<Box<dyn Any + Send>, Fault>;

    /// The result as JSON, as [`crate::convert::lower_result`] writes it.
    fn lower(&self, function: &Function, result: Box<dyn Any + Send>) -> Result<String, Fault>;
}

/// The shape of a function, if it has one.
pub fn of(function: &Function) -> Option<&'static dyn Shape> {
    SHAPES.iter().copied().find(|shape| shape.fits(function))
}

type Bytes = Vec<u8>;

macro_rules! shapes {
    ($($params:ty => $($result:ty),*;)*) => { &[$($(&Of::<$params, $result>(PhantomData),)*)*] };
}

const SHAPES: &[&dyn Shape] = shapes! {
    (Bytes,) => Bytes, String, Result<Bytes, String>, Result<(), String>, Result<String, String>,
        Result<Bytes, Error>, Result<(), Error>, Result<String, Error>;
    (String, Bytes) => Bytes, String, Result<Bytes, String>, Result<(), String>, Result<String, String>,
        Result<Bytes, Error>, Result<(), Error>, Result<String, Error>;
    (String,) => Bytes, Result<Bytes, String>, Result<Bytes, Error>, Result<Option<Bytes>, Error>;
    () => Bytes, Result<Bytes, String>, Result<Bytes, Error>;
};

struct Of<P, R>(PhantomData<fn(P) -> R>);

impl<P, R> Shape for Of<P, R>
where
    P: Params + ComponentNamedList + Lift + Lower + Send + Sync + 'static,
    R: Outcome + ComponentType + Lift + Lower + Send + Sync + 'static,
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

    fn lift(&self, function: &Function, params: Json) -> Result<Box<dyn Any + Send>, Fault> {
        P::lift(convert::arguments(function, params)?).map(|params| Box::new(params) as Box<dyn Any + Send>)
    }

    fn lower(&self, function: &Function, result: Box<dyn Any + Send>) -> Result<String, Fault> {
        match (&function.result, result.downcast::<R>()) {
            (Some(ty), Ok(result)) => result.lower(ty),
            // Equal signatures have equal shapes.
            _ => Err(Fault::internal()),
        }
    }
}

/// What the importing guest gets: the result, the fault as its own error, or its end.
async fn answer<P: Any + Send, R: Outcome + 'static>(leaving: Leaving, params: P) -> wasmtime::Result<(R,)> {
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
