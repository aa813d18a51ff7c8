//! An example: a plugin that uses the service of another one, by its types. The host routes each call to whichever
//! generation of `spell` serves then; that one may be reloaded, upgraded or restarted at any time.
//!
//! Outside this repository copy its `wit/host` to `wit/deps/midplane-host`, the WIT of `spell` to `wit/deps/acme-spell`,
//! and say `path: "wit"`.

use acme::spell::checker::{self, Problem};
use exports::acme::proof::reader::Guest;

midplane_sdk::generate!({ path: ["../../../../wit/host", "../spell/wit", "wit"], world: "acme:proof/proof" });

struct Proof;

export!(Proof);

impl Guest for Proof {
    fn count_mistakes(text: String) -> Result<u32, String> {
        let findings = checker::check(&text).map_err(|problem| match problem {
            Problem::TooLong(limit) => format!("the text is longer than {limit} bytes"),
        })?;
        // A text has at most 64 KiB.
        Ok(u32::try_from(findings.len()).unwrap_or(u32::MAX))
    }
}
