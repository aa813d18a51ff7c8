//! The beginning of the chain, in Rust.

use exports::test::chain_rs::chain_rs::{Error, Guest, Station, WayToFail};
use midplane_sdk::host::context;
use test::chain_js::chain_js;

midplane_sdk::generate!({
    path: ["../../../wit/host", "../chain-py/wit", "../chain-js/wit", "wit"],
    world: "test:chain-rs/guest",
});

struct ChainRs;

export!(ChainRs);

impl Guest for ChainRs {
    fn pass(mut stations: Vec<Station>) -> Result<Vec<Station>, Error> {
        let caller = context::current().ok_or_else(|| Error::new("conflict", "nobody called"))?;
        stations.push(Station {
            plugin: "chain-rs".to_owned(),
            principal: caller.principal,
            scopes: caller.scopes,
            caller: caller.plugin,
            request_id: caller.request_id,
            remaining_ms: caller.remaining_ms,
        });
        chain_js::pass(&stations)
    }

    fn fail(way: WayToFail) -> Result<String, Error> {
        Ok(format!("chain-rs heard: {}", chain_js::fail(way)?))
    }
}
