//! Imports of other plugins' interfaces: compared by structure when they are linked, routed at every call to whichever
//! generation serves them now.

use std::sync::Arc;

use midplane_model::{
    CallContext, ErrorCode, Fault,
    schema::{Function, Interface, Type},
};
use wasmtime::{
    AsContextMut,
    component::{GuestTaskId, Linker, LinkerInstance, Val},
};

use crate::{
    host::{Host, Offer, split_id},
    inside::Inside,
    instance::Guest,
    package::LoadError,
    shapes::{self, Values},
    waits::Waiter,
};

/// Defines every function of an imported interface.
pub fn define(linker: &mut Linker<Guest>, interface: &Interface) -> Result<(), LoadError> {
    let fail = |cause| LoadError::Link { interface: interface.id.to_string(), cause };
    let mut instance = linker.instance(&interface.id).map_err(fail)?;
    for function in &interface.functions {
        let base = split_id(&interface.id).0.into();
        let route = Arc::new(Route { id: interface.id.clone(), base, function: function.clone() });
        let defined = match shapes::of(function) {
            Some(shape) => shape.define(&mut instance, route),
            None => define_dynamic(&mut instance, route),
        };
        defined.map_err(fail)?;
    }
    Ok(())
}

fn define_dynamic(instance: &mut LinkerInstance<'_, Guest>, route: Arc<Route>) -> wasmtime::Result<()> {
    let name = route.function.name.wit.to_string();
    if route.function.is_async {
        return instance.func_new_concurrent(&name, move |accessor, _, args, results| {
            let leaving = accessor.with(|access| route.leave(access));
            Box::pin(leaving.call_dynamic(args, results))
        });
    }
    instance.func_new_async(&name, move |store, _, args, results| {
        let leaving = route.leave(store);
        Box::new(leaving.call_dynamic(args, results))
    })
}

/// Compares what a component imports with what is offered.
///
/// # Errors
/// `Err(None)` when nobody offers the interface; `Err(Some(reason))` when the offer does not fit.
pub fn check(host: &Host, wanted: &Interface) -> Result<(), Option<String>> {
    let offer = host.offers.find(&wanted.id).ok_or(None)?;
    for function in &wanted.functions {
        let offered = offer.interface.functions.iter().find(|offered| offered.name == function.name);
        let plugin = &offer.slot.name;
        match offered {
            None => {
                return Err(Some(format!("{plugin} serves {} without {}", offer.interface.id, function.signature())));
            }
            Some(offered) if !offered.same_shape(function) => {
                let (theirs, ours) = (offered.signature(), function.signature());
                return Err(Some(format!("{plugin} serves {theirs:?} of {}, wanted {ours:?}", offer.interface.id)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// One imported function.
pub struct Route {
    id: Arc<str>,
    /// Without version.
    base: Arc<str>,
    pub function: Arc<Function>,
}

impl Route {
    /// Begins a call of this function, for whichever call the importing guest serves now.
    pub fn leave(self: &Arc<Self>, mut store: impl AsContextMut<Data = Guest>) -> Leaving {
        let store = store.as_context_mut();
        let guest = store.data();
        Leaving {
            host: guest.host.clone(),
            route: self.clone(),
            context: guest.outgoing(),
            inside: guest.inside.clone(),
            held: guest.held(self.function.is_async),
            task: guest.serving,
        }
    }

    /// The fault as the function's own error: a string, the host's error record, or a variant's `other(string)`.
    fn error_value(&self, fault: &Fault) -> Option<Val> {
        let Some(Type::Result { err: Some(err), .. }) = &self.function.result else { return None };
        let value = match &**err {
            Type::String => Val::String(fault.to_string()),
            Type::Record(record) => {
                let member = |name: &str| match name {
                    "code" => Some(Val::String(fault.code.as_str().into())),
                    "message" => Some(Val::String(fault.message.clone())),
                    "details" => {
                        let details = serde_json::Value::Object(fault.details.clone()).to_string();
                        Some(Val::Option(Some(Box::new(Val::String(details)))))
                    }
                    _ => None,
                };
                let field = |field: &midplane_model::schema::Field| {
                    Some((field.name.wit.to_string(), member(&field.name.wit)?))
                };
                Val::Record(record.fields.iter().map(field).collect::<Option<Vec<_>>>()?)
            }
            Type::Variant(variant) => {
                let other = variant
                    .cases
                    .iter()
                    .find(|case| &*case.name.wit == "other" && matches!(case.ty, Some(Type::String)))?;
                Val::Variant(other.name.wit.to_string(), Some(Box::new(Val::String(fault.to_string()))))
            }
            _ => return None,
        };
        Some(Val::Result(Err(Some(Box::new(value)))))
    }
}

/// A call on its way out of a guest.
pub struct Leaving {
    host: Arc<Host>,
    route: Arc<Route>,
    context: CallContext,
    inside: Inside,
    held: Option<Waiter>,
    task: Option<GuestTaskId>,
}

impl Leaving {
    /// Calls whichever generation serves the interface now.
    pub async fn call(&self, args: Values) -> Result<Values, Fault> {
        let Self { host, route, context, .. } = self;
        let nobody = || Fault::new(ErrorCode::PluginUnavailable, format!("no running plugin serves {}", route.id));
        let Offer { slot, .. } = host.offers.find(&route.id).ok_or_else(nobody)?;
        let _waiting = self.held.as_ref().map(|held| held.wait_for(&slot.name, context)).transpose()?;
        slot.call_typed(route.base.clone(), route.function.clone(), args, context).await
    }

    async fn call_dynamic(self, args: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
        let value = match self.call(Values::Dynamic(args.to_vec())).await {
            Ok(Values::Dynamic(mut values)) => values.pop(),
            // Equal signatures have equal shapes.
            Ok(Values::Shaped(_)) => return Err(self.end(&Fault::internal()).await),
            Err(fault) => match self.route.error_value(&fault) {
                None => return Err(self.end(&fault).await),
                value => value,
            },
        };
        if let (Some(value), [result]) = (value, results) {
            *result = value;
        }
        Ok(())
    }

    /// Where the function has no place for an error, the call of the importing guest ends. If others can go on meanwhile it
    /// ends alone: it is answered, and never hears from here. Else this gives the trap with which the instance ends.
    pub async fn end(&self, fault: &Fault) -> wasmtime::Error {
        let reason = format!("{}: {fault}", self.route.function.name.wit);
        if self.route.function.is_async && self.inside.give_up(self.task, &reason) {
            std::future::pending::<()>().await;
        }
        wasmtime::Error::msg(reason)
    }
}
