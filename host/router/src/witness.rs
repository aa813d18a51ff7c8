//! Who hears of administrative calls: of all of them, so it is told where all of them pass.

use std::sync::Arc;

use midplane_model::{Call, CallContext, ErrorCode, Fault, Reply};

/// Hears of every call of a method that needs the scope `admin`: of a client, and of a plugin in its name.
pub trait Witness: Send + Sync {
    /// How the call ended: `cancelled` where its caller gave it up, and then it may have had its effect. Must not block.
    fn administered(&self, method: &str, context: &CallContext, outcome: Result<(), ErrorCode>);
}

/// A call on its way. Dropped before it has ended, it was given up, or its service panicked.
pub(crate) struct Told {
    witness: Arc<dyn Witness>,
    method: Arc<str>,
    context: CallContext,
    outcome: Result<(), ErrorCode>,
}

impl Told {
    pub fn new(witness: &Arc<dyn Witness>, call: &Call) -> Self {
        let (witness, method, context) = (witness.clone(), call.method.clone(), call.context.clone());
        Self { witness, method, context, outcome: Err(ErrorCode::Cancelled) }
    }

    pub fn ended(mut self, answer: &Result<Reply, Fault>) {
        self.outcome = answer.as_ref().map(|_| ()).map_err(|fault| fault.code);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Err(ErrorCode::Internal) } else { self.outcome };
        self.witness.administered(&self.method, &self.context, outcome);
    }
}
