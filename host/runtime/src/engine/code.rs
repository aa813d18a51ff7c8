//! A component before and after it is compiled, and who shares it.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

/// The bytes of a component, read once, with their hash.
#[derive(Clone)]
pub struct Wasm {
    bytes: Bytes,
    pub digest: [u8; 32],
}

impl From<Bytes> for Wasm {
    fn from(bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes).into();
        Self { bytes, digest }
    }
}

impl Deref for Wasm {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How code was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Quickly, to run until the optimised code is there.
    Baseline,
    /// With all care.
    Optimised,
}

impl Tier {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Optimised => "optimised",
        }
    }
}

/// A compiled component. Plugins with equal components share it.
pub struct Code {
    pub component: Component,
    pub tier: Tier,
    /// Of the component it was made from.
    pub digest: [u8; 32],
}

/// The code in use, by the component's hash. It lives as long as a package holds it.
#[derive(Default)]
pub struct Codes(Mutex<HashMap<[u8; 32], Arc<Shared>>>);

/// The code of one component. Whoever holds the lock is making it; who wants the same component waits, and nobody else.
pub type Shared = Mutex<Weak<Code>>;

impl Codes {
    /// The place of a component's code.
    pub fn place(&self, digest: &[u8; 32]) -> Arc<Shared> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A place that only the table holds is not being filled, and what was in it may be gone.
        places.retain(|kept, place| kept == digest || Arc::strong_count(place) > 1 || held(place).strong_count() > 0);
        places.entry(*digest).or_default().clone()
    }
}

fn held(place: &Shared) -> Weak<Code> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
