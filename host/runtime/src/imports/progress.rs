//! Parts of a result, told while the call runs.

use midplane_model::{Fault, progress};
use wasmtime::component::{Accessor, HasSelf};

use super::within;
use crate::{
    bindings::{Error, imports::context_async},
    instance::Guest,
};

impl context_async::Host for Guest {}

impl context_async::HostWithStore<Guest> for HasSelf<Guest> {
    async fn report_part(accessor: &Accessor<Guest>, part: String) -> wasmtime::Result<Result<bool, Error>> {
        let context = accessor.with(|mut access| access.get().caller());
        let told = async {
            let part = progress::checked(part)?;
            let Some((progress, deadline)) = context.and_then(|context| Some((context.progress?, context.deadline)))
            else {
                return Ok(false);
            };
            within(deadline, async { Ok(progress.part(part).await.is_ok()) }).await
        };
        Ok(told.await.map_err(|fault: Fault| Error::from(fault)))
    }
}
