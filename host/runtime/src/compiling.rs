//! Says that a component is being compiled: the event `plugin.compiling`, and a line in the host's log.
//!
//! Payload: `{name, version, component_bytes, tier, phase}`; `phase` is `begin` or `end`, and the end says `duration_ms` and
//! whether it `succeeded`. Code that was at hand makes no event.

use midplane_broker::Publish;
use midplane_model::{Origin, Topic, limits::TIERED_BYTES_MIN};
use serde_json::{Value, json};

use crate::{engine::Progress, host::Host, manifest::Manifest};

/// What shows the progress of a plugin's compile.
pub fn show<'a>(host: &'a Host, manifest: &'a Manifest, component_bytes: usize) -> impl Fn(Progress) + 'a {
    move |progress| {
        let tier = match progress {
            Progress::Begins(tier) | Progress::Ends { tier, .. } => tier.as_str(),
        };
        let mut payload = json!({
            "name": manifest.name, "version": manifest.version, "component_bytes": component_bytes, "tier": tier,
            "phase": "begin",
        });
        let plugin = &manifest.name;
        match progress {
            // Who watches the log wonders about seconds, not about milliseconds.
            Progress::Begins(_) if component_bytes >= TIERED_BYTES_MIN => {
                tracing::info!(%plugin, tier, component_bytes, "compiling");
            }
            Progress::Begins(_) => {}
            Progress::Ends { took, compiled, .. } => {
                let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(%plugin, tier, component_bytes, duration_ms, compiled, "compiled");
                payload["phase"] = "end".into();
                payload["duration_ms"] = duration_ms.into();
                payload["succeeded"] = compiled.into();
            }
        }
        publish(host, &payload);
    }
}

fn publish(host: &Host, payload: &Value) {
    let payload = serde_json::value::to_raw_value(payload);
    if let (Ok(topic), Ok(payload)) = (Topic::parse("plugin.compiling"), payload) {
        // The broker refuses only what is too large, and this is not.
        _ = host.parts.broker.publish(Publish { topic, payload, origin: Origin::default(), ttl: None });
    }
}
