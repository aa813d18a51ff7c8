//! Files of strangers, for the fuzz targets in `fuzz/` and for what they have found. Part of the crate only under
//! `cfg(fuzzing)` and in tests; each door is beside what it opens.

pub use crate::{files::fuzzing::entry, terminals::asciicast::fuzzing::recording};

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../fuzz/run_again.rs");

    #[test]
    fn files_that_were_found_do_no_harm() {
        run_again("entry", entry);
        run_again("recording", recording);
    }
}
