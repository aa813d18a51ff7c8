//! Imports of other plugins' interfaces: compared by structure when they are linked, routed at every call to whichever
//! generation serves them now.

use std::sync::Arc;

use midplane_model::{
    CallContext, ErrorCode, Fault,
    schema::{Function, Interface, Type},
};
use wasmtime::component::{Linker, LinkerInstance, Val};

use crate::{
    host::{Host, split_id},
    instance::Guest,
    package::LoadError,
    shapes::{self, Values},
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
            let route = route.clone();
            Box::pin(async move {
                let (host, context) = accessor.with(|mut access| {
                    let guest = access.get();
                    (guest.host.clone(), guest.outgoing())
                });
                route.call_dynamic(&host, &context, args, results).await
            })
        });
    }
    instance.func_new_async(&name, move |store, _, args, results| {
        let route = route.clone();
        Box::new(async move {
            let (host, context) = (store.data().host.clone(), store.data().outgoing());
            route.call_dynamic(&host, &context, args, results).await
        })
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
    /// Calls whichever generation serves the interface now.
    pub async fn call(&self, host: &Host, context: &CallContext, args: Values) -> Result<Values, Fault> {
        match host.offers.find(&self.id) {
            Some(offer) => offer.slot.call_typed(self.base.clone(), self.function.clone(), args, context).await,
            None => Err(Fault::new(ErrorCode::PluginUnavailable, format!("no running plugin serves {}", self.id))),
        }
    }

    async fn call_dynamic(
        &self,
        host: &Host,
        context: &CallContext,
        args: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        match self.call(host, context, Values::Dynamic(args.to_vec())).await {
            Ok(Values::Dynamic(values)) => {
                for (result, value) in results.iter_mut().zip(values) {
                    *result = value;
                }
                Ok(())
            }
            Ok(Values::Shaped(_)) => Err(wasmtime::Error::msg("results of another shape")),
            Err(fault) => match (results, self.error_value(&fault)) {
                ([result], Some(value)) => {
                    *result = value;
                    Ok(())
                }
                // The function cannot return an error, so the caller's call traps.
                _ => Err(wasmtime::Error::msg(format!("{}: {fault}", self.function.name.wit))),
            },
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
