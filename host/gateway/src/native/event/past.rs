//! `event.history`.

use std::collections::BTreeMap;

use midplane_broker::{HistoryRange, Since};
use midplane_model::{Fault, limits::HISTORY_EVENTS_MAX};
use midplane_router::Params;
use serde_json::{Map, Value, json};

use super::{
    EventService,
    parameters::{patterns, since},
};

/// Events of one page of history where the caller names no limit.
const HISTORY_EVENTS_DEFAULT: usize = 100;

impl EventService {
    pub(super) fn history(&self, mut params: Params) -> Result<Value, Fault> {
        let patterns = patterns(&params.take::<Vec<String>>("patterns")?)?;
        let range = range(&params.take("since")?, &params.take("before")?)?;
        let limit = params.take::<Option<u32>>("limit")?.map_or(HISTORY_EVENTS_DEFAULT, |limit| limit as usize);
        let pages = self.broker.history(&patterns, &range, limit.clamp(1, HISTORY_EVENTS_MAX))?;
        let mut streams = Map::new();
        for (name, page) in pages {
            let events = page.events.iter().map(|event| serde_json::from_str(&format!("{{{}}}", event.shared_json())));
            let events: Vec<Value> = events.collect::<Result<_, _>>().map_err(|_| Fault::internal())?;
            streams.insert(name.to_string(), json!({"epoch": page.epoch, "events": events, "more": page.more}));
        }
        Ok(json!({"streams": streams}))
    }
}

fn range(after: &Value, before: &Value) -> Result<HistoryRange, Fault> {
    match (since("since", after)?, since("before", before)?) {
        (Since::None, Since::None) => Ok(HistoryRange::Newest),
        (Since::Earliest, Since::None) => Ok(HistoryRange::Since(BTreeMap::new())),
        (Since::Positions(positions), Since::None) => Ok(HistoryRange::Since(positions)),
        (Since::None, Since::Positions(positions)) => Ok(HistoryRange::Before(positions)),
        (Since::None, Since::Earliest) => {
            Err(Fault::invalid_params("params.before", "params.before: nothing is before the earliest event"))
        }
        _ => Err(Fault::invalid_params("params.before", "params.before: give either since or before")),
    }
}
