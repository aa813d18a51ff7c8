//! Requests of strangers, for the fuzz targets in `fuzz/` and for what they have found. Part of the crate only under
//! `cfg(fuzzing)` and in tests; each door is beside what it opens.

pub use crate::{
    event_stream::fuzzing::reading,
    rest::fuzzing::{request, upload},
};

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../fuzz/run_again.rs");

    #[test]
    fn requests_that_were_found_do_no_harm() {
        run_again("rest", request);
        run_again("upload", upload);
        run_again("reading", reading);
    }
}
