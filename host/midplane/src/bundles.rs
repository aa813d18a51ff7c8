//! The first-party plugins inside the program; see `build.rs`.

include!(concat!(env!("OUT_DIR"), "/bundles.rs"));
