//! The locks of a stream: the standard library's, and in the unit tests those of a scheduler that tries many orders of threads
//! (`interleavings`). No other unit test may touch a stream.

#[cfg(test)]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
