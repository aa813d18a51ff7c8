//! Which code a component gets, from where, and when it is compiled.

use std::{
    cell::RefCell,
    sync::{Arc, Barrier},
};

use bytes::Bytes;
use midplane_model::limits::TIERED_BYTES_MIN;
use tempfile::TempDir;

use super::{Code, Engine, EngineError, Progress, Tier, Wasm};

/// `(module (func))`, and the same with a tail call to itself, which the baseline compiler refuses.
const PLAIN: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
const TAIL_CALL: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x06\x01\x04\0\x12\0\x0b";

/// A component around a module, `padding` bytes larger than it has to be.
fn component(module: &[u8], padding: usize) -> Wasm {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut bytes, 1, module);
    let mut custom = b"\x07padding".to_vec();
    custom.resize(custom.len() + padding, 0);
    section(&mut bytes, 0, &custom);
    Bytes::from(bytes).into()
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
}

fn engine() -> (TempDir, Engine) {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::new(home.path()).unwrap();
    (home, engine)
}

/// What was compiled on the way: each tier, and whether it worked.
#[derive(Default)]
struct Seen(RefCell<Vec<(Tier, bool)>>);

impl Seen {
    fn note(&self) -> impl Fn(Progress) + '_ {
        |progress| {
            if let Progress::Ends { tier, compiled, .. } = progress {
                self.0.borrow_mut().push((tier, compiled));
            }
        }
    }

    fn take(&self) -> Vec<(Tier, bool)> {
        self.0.take()
    }
}

#[test]
fn a_small_component_gets_optimised_code_at_once_and_from_the_disk_the_next_time() {
    let (home, engine) = engine();
    let (wasm, seen) = (component(PLAIN, 0), Seen::default());
    assert_eq!(engine.compile(&wasm, seen.note()).unwrap().tier, Tier::Optimised);
    assert_eq!(seen.take(), [(Tier::Optimised, true)]);
    let next = Engine::new(home.path()).unwrap();
    assert_eq!(next.compile(&wasm, seen.note()).unwrap().tier, Tier::Optimised);
    assert_eq!(seen.take(), []);
}

#[test]
fn a_large_component_gets_baseline_code_until_the_optimised_one_is_there() {
    let (home, engine) = engine();
    let (wasm, seen) = (component(PLAIN, TIERED_BYTES_MIN), Seen::default());
    let first = engine.compile(&wasm, seen.note()).unwrap();
    assert_eq!((first.tier, seen.take()), (Tier::Baseline, vec![(Tier::Baseline, true)]));

    // A host that was killed before the better code was made goes on from here.
    let next = Engine::new(home.path()).unwrap();
    assert_eq!((next.compile(&wasm, seen.note()).unwrap().tier, seen.take()), (Tier::Baseline, vec![]));

    assert_eq!(engine.optimise(&wasm, seen.note()).unwrap().tier, Tier::Optimised);
    assert_eq!(seen.take(), [(Tier::Optimised, true)]);
    assert_eq!(engine.compile(&wasm, seen.note()).unwrap().tier, Tier::Optimised);
    let next = Engine::new(home.path()).unwrap();
    assert_eq!((next.compile(&wasm, seen.note()).unwrap().tier, seen.take()), (Tier::Optimised, vec![]));
}

#[test]
fn what_the_baseline_compiler_refuses_is_optimised_at_once() {
    let (_home, engine) = engine();
    let (wasm, seen) = (component(TAIL_CALL, TIERED_BYTES_MIN), Seen::default());
    assert_eq!(engine.compile(&wasm, seen.note()).unwrap().tier, Tier::Optimised);
    assert_eq!(seen.take(), [(Tier::Baseline, false), (Tier::Optimised, true)]);
}

#[test]
fn what_is_no_component_is_refused() {
    let (_home, engine) = engine();
    let wasm: Wasm = Bytes::from(vec![0; TIERED_BYTES_MIN]).into();
    assert!(matches!(engine.compile(&wasm, |_| {}), Err(EngineError::Compile(_))));
}

#[test]
fn equal_components_share_their_code_however_many_ask_at_once() {
    let (_home, engine) = engine();
    let barrier = Barrier::new(4);
    let codes: Vec<Arc<Code>> = std::thread::scope(|scope| {
        let ask = || {
            let wasm = component(PLAIN, 10);
            barrier.wait();
            engine.compile(&wasm, |_| {}).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|code| Arc::ptr_eq(code, &codes[0])));
    let other = engine.compile(&component(PLAIN, 11), |_| {}).unwrap();
    assert!(!Arc::ptr_eq(&other, &codes[0]));
}

#[test]
fn a_host_that_stops_does_not_compile_to_the_end() {
    let (_home, engine) = engine();
    let wasm = component(PLAIN, TIERED_BYTES_MIN);
    let code = engine.compile(&wasm, |_| {}).unwrap();
    engine.interrupt();
    assert!(matches!(engine.optimise(&wasm, |_| {}), Err(EngineError::Interrupted)));
    // The plugin goes on with what it has.
    assert!(Arc::ptr_eq(&engine.compile(&wasm, |_| {}).unwrap(), &code));
}
