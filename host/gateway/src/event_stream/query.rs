//! What a reader asks for: `?patterns=a.*,b&since=stream:epoch:seq`, and `Last-Event-ID`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::http::HeaderMap;
use midplane_broker::{OnGap, Since};
use midplane_model::{ErrorCode, Fault, Pattern, Position};

/// The id of the last message that a browser got before its connection broke.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

pub(super) struct Query {
    pub patterns: Vec<Pattern>,
    pub since: Since,
    pub on_gap: OnGap,
}

/// # Errors
/// `invalid_params` naming the parameter.
pub(super) fn read(query: &str, headers: &HeaderMap) -> Result<Query, Fault> {
    let mut read = Query { patterns: Vec::new(), since: Since::None, on_gap: OnGap::Partial };
    let mut said = BTreeSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "patterns" && !said.insert(name.clone()) {
            return Err(named(&name, "is given twice"));
        }
        match &*name {
            "patterns" => {
                for text in value.split(',') {
                    read.patterns.push(Pattern::parse(text).map_err(|fault| named("patterns", &fault.message))?);
                }
            }
            "since" => read.since = since(&value).map_err(|problem| named("since", problem))?,
            "on_gap" => {
                read.on_gap = match &*value {
                    "report" => OnGap::Report,
                    "partial" => OnGap::Partial,
                    "snapshot" => OnGap::Snapshot,
                    _ => return Err(wrong("on_gap", "report, partial or snapshot")),
                }
            }
            other => return Err(named(other, "unknown; there are patterns, since and on_gap")),
        }
    }
    // A browser that connects again repeats its address; where it has come is in the header.
    if let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) {
        let positions = value.to_str().ok().and_then(|text| since(text).ok());
        read.since = positions.ok_or_else(|| {
            let message = "headers.last-event-id: expected the id of a message of this host";
            Fault::new(ErrorCode::InvalidParams, message).with("path", "headers.last-event-id")
        })?;
    }
    if read.patterns.is_empty() {
        return Err(wrong("patterns", "topics to listen to, such as files.*"));
    }
    Ok(read)
}

/// # Errors
/// What is wrong with it.
pub(super) fn since(text: &str) -> Result<Since, &'static str> {
    if text == "earliest" {
        return Ok(Since::Earliest);
    }
    let mut positions = BTreeMap::new();
    for word in text.split(',') {
        let position = |text: &str| {
            let (stream, rest) = text.split_once(':')?;
            let (epoch, seq) = rest.rsplit_once(':')?;
            Some((Arc::from(stream), Position { epoch: epoch.into(), seq: seq.parse().ok()? }))
        };
        let (stream, at) =
            position(word).ok_or("expected stream:epoch:seq, several with commas between them, or earliest")?;
        if positions.insert(stream, at).is_some() {
            return Err("one stream has two positions");
        }
    }
    Ok(Since::Positions(positions))
}

fn wrong(name: &str, expected: &str) -> Fault {
    named(name, &format!("expected {expected}"))
}

fn named(name: &str, message: &str) -> Fault {
    let path = format!("params.{name}");
    Fault::invalid_params(&path, format!("{path}: {message}"))
}
