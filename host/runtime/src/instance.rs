//! One instance of a component: a store of its own, because a trap poisons the whole store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use midplane_capabilities::storage::Namespace;
use midplane_model::{
    CallContext, Fault,
    limits::{HOSTCALL_BYTES_MAX, PAGE_HEADER_BYTES_MAX},
    schema::Function,
};
use tokio::sync::mpsc;
use wasmtime::{
    Store,
    component::{Func, GuestTaskId, Instance as Raw, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    bindings::{Ending, Occasion, Snapshot},
    contract::{Hooks, Outcome},
    convert,
    host::{Host, split_id},
    http::HttpHooks,
    inbox,
    inside::{self, Answer, Entry, Inside},
    metrics::Limiter,
    package::{LoadError, Package},
    shapes::{self, Shape, Values},
    slot::Slot,
    waits::Waiter,
    wasi,
};

/// Time for making an instance, which runs the guest's own initialisers.
const INSTANTIATE_MAX: Duration = Duration::from_secs(10);

/// What a store holds.
pub struct Guest {
    pub host: Arc<Host>,
    pub package: Arc<Package>,
    pub slot: Arc<Slot>,
    pub storage: Namespace,
    pub inbox: mpsc::Sender<inbox::Command>,
    pub inside: Inside,
    /// The task whose import is running; kept by [`inside::follow`].
    pub serving: Option<GuestTaskId>,
    /// The request that this instance was made for, if it is not the actor's.
    pub visit: Option<CallContext>,
    pub waiter: Waiter,
    limits: Limiter,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: HttpHooks,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl Guest {
    /// What the guest holds by handle.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// A store for one instance of a package, with the manifest's limits. `visit` is the request that it is made for, if it is
    /// made for one.
    pub fn store(
        host: &Arc<Host>,
        package: &Arc<Package>,
        slot: &Arc<Slot>,
        inbox: mpsc::Sender<inbox::Command>,
        wasi: WasiCtx,
        visit: Option<CallContext>,
    ) -> Store<Self> {
        let storage = host.parts.storage.namespace(&slot.name).with_quota(package.manifest.limits.storage_bytes);
        slot.metrics.storage.get_or_init(|| storage.gauge());
        slot.metrics.event_budget.get_or_init(|| host.parts.broker.budget_of(&slot.name.as_str().into()));
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(2 * PAGE_HEADER_BYTES_MAX);
        let guest = Guest {
            host: host.clone(),
            package: package.clone(),
            slot: slot.clone(),
            storage,
            inbox,
            inside: Inside::default(),
            serving: None,
            visit,
            waiter: host.waits.waiter(&slot.name),
            limits: Limiter::new(package.manifest.limits.memory_bytes, slot.clone()),
            wasi,
            table: ResourceTable::new(),
            http,
            hooks: HttpHooks::new(slot.clone(), &package.manifest.grants.http),
        };
        let mut store = Store::new(package.pre.engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        store.call_hook(inside::follow);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        // A guest yields at every epoch and is never interrupted by one: deadlines are kept outside, by dropping the store.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }
}

/// One exported function and its type.
pub struct Export {
    pub func: Func,
    pub function: Arc<Function>,
    /// How bytes get in and out quickly, where the signature has a fast path.
    pub shape: Option<&'static dyn Shape>,
}

impl Export {
    /// Parameters from JSON.
    pub fn lift(&self, params: serde_json::Value) -> Result<Values, Fault> {
        match self.shape {
            Some(shape) => shape.lift(&self.function, params).map(Values::Shaped),
            None => convert::lift_params(&self.function, params).map(Values::Dynamic),
        }
    }

    /// The result as JSON.
    pub fn lower(&self, values: Values) -> Result<String, Fault> {
        match (values, self.shape) {
            (Values::Dynamic(values), _) => convert::lower_result(&self.function, &values),
            (Values::Shaped(result), Some(shape)) => shape.lower(&self.function, result),
            // Equal signatures have equal shapes.
            (Values::Shaped(_), None) => Err(Fault::internal()),
        }
    }
}

/// What the component exports, looked up once.
#[derive(Default)]
pub struct Exports {
    /// By method name.
    pub methods: HashMap<Arc<str>, Arc<Export>>,
    /// By interface (without version) and function.
    pub typed: HashMap<(String, Arc<str>), Arc<Export>>,
    pub hooks: Hooks,
}

pub struct Instance {
    pub store: Store<Guest>,
    pub exports: Arc<Exports>,
    pub inside: Inside,
}

impl Instance {
    /// Makes an instance of a package beside whatever runs already. Nothing is called yet but the guest's initialisers.
    pub async fn new(
        host: &Arc<Host>,
        package: &Arc<Package>,
        slot: &Arc<Slot>,
        inbox: mpsc::Sender<inbox::Command>,
    ) -> Result<Self, LoadError> {
        let wasi = wasi::context(host, package, slot).await?;
        let mut store = Guest::store(host, package, slot, inbox, wasi, None);
        let inside = store.data().inside.clone();
        let made = tokio::time::timeout(INSTANTIATE_MAX, package.pre.instantiate_async(&mut store)).await;
        let raw = made
            .map_err(|_| LoadError::Slow { step: "make an instance", limit: INSTANTIATE_MAX })?
            .map_err(LoadError::Instantiate)?;
        let exports = Arc::new(look_up(&mut store, &raw, package)?);
        Ok(Self { store, exports, inside })
    }

    /// Gives the state of the former generation to this one. Whether there was anybody to take it.
    pub async fn restore(&mut self, snapshot: Snapshot) -> Result<bool, LoadError> {
        let Some(restore) = self.exports.hooks.restore else { return Ok(false) };
        let _own = self.own_work();
        let limit = midplane_model::limits::RELOAD_DRAIN_MAX;
        let call = restore.call_async(&mut self.store, (snapshot,));
        finish("restore its state", limit, call).await.map(|()| true)
    }

    /// Calls `lifecycle.start`.
    pub async fn start(&mut self, occasion: Occasion) -> Result<(), LoadError> {
        let Some(start) = self.exports.hooks.start else { return Ok(()) };
        let _own = self.own_work();
        let limit = self.store.data().package.manifest.limits.deadline;
        finish("start", limit, start.call(&mut self.store, occasion)).await
    }

    /// Calls `state.save`; none when the plugin has no state. An error leaves the instance usable unless it trapped.
    pub async fn save(&mut self) -> Result<Option<Snapshot>, LoadError> {
        let Some(save) = self.exports.hooks.save else { return Ok(None) };
        let _own = self.own_work();
        let limit = midplane_model::limits::RELOAD_DRAIN_MAX;
        match tokio::time::timeout(limit, save.call_async(&mut self.store, ())).await {
            Err(_) => Err(LoadError::Slow { step: "save its state", limit }),
            Ok(Err(trap)) => Err(LoadError::Trap { step: "save its state", trap }),
            Ok(Ok((Err(error),))) => Err(LoadError::Refused { step: "save its state", reason: error.message }),
            Ok(Ok((Ok(snapshot),))) => Ok(Some(snapshot)),
        }
    }

    /// Calls `lifecycle.stop`; whatever comes of it, the instance is dropped afterwards.
    pub async fn stop(&mut self, ending: Ending) {
        let Some(stop) = self.exports.hooks.stop else { return };
        let _own = self.own_work();
        let done = tokio::time::timeout(Duration::from_secs(2), stop.call(&mut self.store, ending)).await;
        if !matches!(done, Ok(Ok(()))) {
            tracing::warn!(plugin = %self.store.data().slot.name, "stop did not end well; the instance is dropped");
        }
    }
}

/// While it lives, what the guest does is done under one id of the plugin's own.
struct OwnWork(Inside);

/// Calls are counted from 1.
const OWN_WORK: u64 = 0;

impl Instance {
    fn own_work(&self) -> OwnWork {
        let context = self.store.data().slot.own_context();
        self.inside.enter(OWN_WORK, Entry { context, called: false, answer: Answer::Nobody });
        OwnWork(self.inside.clone())
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        self.0.leave(OWN_WORK);
    }
}

async fn finish(
    step: &'static str,
    limit: Duration,
    call: impl Future<Output = wasmtime::Result<Outcome>>,
) -> Result<(), LoadError> {
    match tokio::time::timeout(limit, call).await {
        Err(_) => Err(LoadError::Slow { step, limit }),
        Ok(Err(trap)) => Err(LoadError::Trap { step, trap }),
        Ok(Ok((Err(error),))) => Err(LoadError::Refused { step, reason: error.message }),
        Ok(Ok((Ok(()),))) => Ok(()),
    }
}

fn look_up(store: &mut Store<Guest>, raw: &Raw, package: &Package) -> Result<Exports, LoadError> {
    let mut exports = Exports { hooks: Hooks::look_up(store, raw)?, ..Exports::default() };
    for interface in &package.services {
        let Some(index) = raw.get_export_index(&mut *store, None, &interface.id) else { continue };
        for function in &interface.functions {
            let Some(index) = raw.get_export_index(&mut *store, Some(&index), &function.name.wit) else { continue };
            let Some(func) = raw.get_func(&mut *store, index) else { continue };
            let export = Arc::new(Export { func, function: function.clone(), shape: shapes::of(function) });
            let key = (split_id(&interface.id).0.to_owned(), function.name.wit.clone());
            exports.typed.insert(key, export);
        }
        for (method, function) in midplane_router::interface_methods(&package.manifest.name.prefix(), interface) {
            let key = (split_id(&interface.id).0.to_owned(), function.name.wit.clone());
            if let Some(export) = exports.typed.get(&key) {
                exports.methods.insert(method, export.clone());
            }
        }
    }
    Ok(exports)
}
