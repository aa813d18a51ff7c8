//! What `wit/host` looks like from the host's side. Generated; the only place that reads the contract's WIT.

wasmtime::component::bindgen!({
    path: "../../wit/host",
    world: "plugin",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "midplane:host/search.searching": crate::imports::Searching },
});

pub use exports::midplane::host::{
    authenticator::{Credential, Identity},
    lifecycle::{Ending, Occasion, Reason},
    state::Snapshot,
    subscriber::{Event, Origin},
};
pub use midplane::host as imports;
pub use midplane::host::types::Error;

use midplane_model::{ErrorCode, Fault};
use serde_json::Value;

impl From<Fault> for Error {
    fn from(mut fault: Fault) -> Self {
        // The contract's error has no member of its own for it.
        fault.details.extend(fault.retry_after_ms.map(|ms| ("retry_after_ms".to_owned(), ms.into())));
        let details = (!fault.details.is_empty()).then(|| Value::Object(fault.details).to_string());
        Self { code: fault.code.as_str().to_owned(), message: fault.message, details }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = ErrorCode::from_str_opt(&error.code);
        let mut fault = Fault::new(code.unwrap_or(ErrorCode::ApplicationError), error.message);
        if let Some(Ok(Value::Object(details))) = error.details.map(|text| serde_json::from_str(&text)) {
            fault.details = details;
        }
        if code.is_none() {
            fault = fault.with("code", error.code);
        }
        fault
    }
}
