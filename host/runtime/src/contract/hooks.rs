//! What a plugin exports to the host, in whichever version of the contract it was built against.

use wasmtime::{
    AsContextMut, Store,
    component::{Accessor, ComponentNamedList, GuestTaskId, Instance, Lift, Lower, TypedFunc},
};

use super::v0_1;
use crate::{
    bindings::{Credential, Ending, Error, Event, Identity, Occasion, Snapshot},
    instance::Guest,
    package::LoadError,
};

const LIFECYCLE: &str = "midplane:host/lifecycle@0.2.0";
const SUBSCRIBER: &str = "midplane:host/subscriber@0.2.0";
const STATE: &str = "midplane:host/state@0.2.0";
const AUTHENTICATOR: &str = "midplane:host/authenticator@0.2.0";

pub type Outcome = (Result<(), Error>,);
pub type Authenticated = (Result<Option<Identity>, Error>,);

/// The optional exports, looked up once. None of them is obligatory.
#[derive(Default)]
pub struct Hooks {
    pub start: Option<Start>,
    pub stop: Option<Stop>,
    pub health: Option<TypedFunc<(), Outcome>>,
    pub on_event: Option<OnEvent>,
    pub save: Option<TypedFunc<(), (Result<Snapshot, Error>,)>>,
    pub restore: Option<TypedFunc<(Snapshot,), Outcome>>,
    pub authenticate: Option<TypedFunc<(Credential,), Authenticated>>,
}

/// `lifecycle.start`
#[derive(Clone, Copy)]
pub enum Start {
    Now(TypedFunc<(Occasion,), Outcome>),
    V0_1(TypedFunc<(), Outcome>),
}

impl Start {
    pub async fn call(self, store: impl AsContextMut<Data = Guest>, occasion: Occasion) -> wasmtime::Result<Outcome> {
        match self {
            Self::Now(start) => start.call_async(store, (occasion,)).await,
            Self::V0_1(start) => start.call_async(store, ()).await,
        }
    }
}

/// `lifecycle.stop`
#[derive(Clone, Copy)]
pub enum Stop {
    Now(TypedFunc<(Ending,), ()>),
    V0_1(TypedFunc<(), ()>),
}

impl Stop {
    pub async fn call(self, store: impl AsContextMut<Data = Guest>, ending: Ending) -> wasmtime::Result<()> {
        match self {
            Self::Now(stop) => stop.call_async(store, (ending,)).await,
            Self::V0_1(stop) => stop.call_async(store, ()).await,
        }
    }
}

/// `subscriber.on-event`
#[derive(Clone, Copy)]
pub enum OnEvent {
    Now(TypedFunc<(Event,), Outcome>),
    V0_1(TypedFunc<(v0_1::Event,), Outcome>),
}

impl OnEvent {
    /// Says which task began.
    pub async fn call(
        self,
        accessor: &Accessor<Guest>,
        event: Event,
        began: impl FnOnce(GuestTaskId),
    ) -> wasmtime::Result<Outcome> {
        match self {
            Self::Now(on_event) => enter(on_event, accessor, (event,), began).await,
            Self::V0_1(on_event) => enter(on_event, accessor, (event.into(),), began).await,
        }
    }
}

/// Enters a hook beside other calls, and says which task began.
pub async fn enter<P, R>(
    function: TypedFunc<P, R>,
    accessor: &Accessor<Guest>,
    params: P,
    began: impl FnOnce(GuestTaskId),
) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower + 'static,
    R: ComponentNamedList + Lift + 'static,
{
    let call = accessor.with(|access| function.start_call_concurrent(access, params))?;
    began(call.task());
    function.finish_call_concurrent(accessor, call).await
}

impl Hooks {
    pub fn look_up(store: &mut Store<Guest>, raw: &Instance) -> Result<Self, LoadError> {
        let mut look = Look { store, raw };
        Ok(Self {
            start: match look.typed(LIFECYCLE, "start")? {
                Some(start) => Some(Start::Now(start)),
                None => look.typed(v0_1::LIFECYCLE, "start")?.map(Start::V0_1),
            },
            stop: match look.typed(LIFECYCLE, "stop")? {
                Some(stop) => Some(Stop::Now(stop)),
                None => look.typed(v0_1::LIFECYCLE, "stop")?.map(Stop::V0_1),
            },
            on_event: match look.typed(SUBSCRIBER, "on-event")? {
                Some(on_event) => Some(OnEvent::Now(on_event)),
                None => look.typed(v0_1::SUBSCRIBER, "on-event")?.map(OnEvent::V0_1),
            },
            // The same in both.
            health: look.either(LIFECYCLE, v0_1::LIFECYCLE, "health")?,
            save: look.either(STATE, v0_1::STATE, "save")?,
            restore: look.either(STATE, v0_1::STATE, "restore")?,
            authenticate: look.typed(AUTHENTICATOR, "authenticate")?,
        })
    }
}

struct Look<'a> {
    store: &'a mut Store<Guest>,
    raw: &'a Instance,
}

impl Look<'_> {
    /// A function of an optional interface; none if the component does not export it, an error if its type is another.
    fn typed<P, R>(
        &mut self,
        interface: &'static str,
        function: &'static str,
    ) -> Result<Option<TypedFunc<P, R>>, LoadError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let Some(index) = self.raw.get_export_index(&mut *self.store, None, interface) else { return Ok(None) };
        let index = self.raw.get_export_index(&mut *self.store, Some(&index), function);
        let Some(index) = index else { return Ok(None) };
        let found = self.raw.get_typed_func(&mut *self.store, index);
        found.map(Some).map_err(|cause| LoadError::WrongExport { interface, function, cause })
    }

    fn either<P, R>(
        &mut self,
        now: &'static str,
        before: &'static str,
        function: &'static str,
    ) -> Result<Option<TypedFunc<P, R>>, LoadError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        match self.typed(now, function)? {
            Some(found) => Ok(Some(found)),
            None => self.typed(before, function),
        }
    }
}
