//! The figures of all plugins in the text format of Prometheus, version 0.0.4. Series are bounded by the plugins that are
//! there: the only labels are a plugin's name, an error's code and a bucket's bound.

use std::{
    fmt::{Display, Write as _},
    sync::Arc,
};

use super::histogram::BOUNDS_US;
use crate::{life::State, slot::Slot};

type Figure = fn(&Slot) -> f64;

/// Name, kind, help and value of every figure that is one number.
const FIGURES: &[(&str, &str, &str, Figure)] = &[
    ("running", "gauge", "1 while the plugin serves.", |slot| {
        f64::from(matches!(slot.status().state, State::Running | State::Degraded))
    }),
    ("calls_total", "counter", "Calls that found the plugin, whatever became of them.", |s| {
        s.metrics.calls.get() as f64
    }),
    ("traps_total", "counter", "Instances lost to a trap, the memory limit or an overrun deadline.", |slot| {
        slot.metrics.traps.get() as f64
    }),
    ("restarts_total", "counter", "Restarts after a failure.", |slot| slot.metrics.restarts.get() as f64),
    ("queue_messages", "gauge", "Messages that wait in the mailbox.", |slot| slot.queued() as f64),
    ("queue_messages_highest", "gauge", "Most messages that have waited at once.", |slot| {
        slot.metrics.queue.highest() as f64
    }),
    ("memory_bytes", "gauge", "Linear memory of all its instances.", |slot| slot.metrics.memory.now() as f64),
    ("memory_peak_bytes", "gauge", "Most linear memory of all its instances at once.", |slot| {
        slot.metrics.memory.highest() as f64
    }),
    ("guest_cpu_seconds_total", "counter", "Processor time of the plugin's own task.", |slot| {
        seconds(slot.metrics.cpu_ns.get())
    }),
    ("reloads_total", "counter", "Generations that took the place of a running one.", |slot| {
        slot.metrics.reloads.get() as f64
    }),
    ("reload_pause_last_seconds", "gauge", "Last time of a reload when nobody took from the mailbox.", |slot| {
        slot.metrics.pauses.last().as_secs_f64()
    }),
    ("reload_pause_longest_seconds", "gauge", "Longest such time.", |slot| slot.metrics.pauses.longest().as_secs_f64()),
    ("events_total", "counter", "Events that the plugin has taken.", |slot| slot.metrics.events.get() as f64),
    ("events_refused_total", "counter", "Events beyond what it may publish.", |s| s.metrics.events_refused() as f64),
    ("log_lines_dropped_total", "counter", "Log lines beyond its budget.", |slot| {
        slot.metrics.log_lines_dropped.get() as f64
    }),
    ("storage_bytes", "gauge", "What it has stored: keys, values and 32 bytes an entry.", |slot| {
        slot.metrics.stored().bytes as f64
    }),
    ("storage_entries", "gauge", "Entries that it has stored.", |slot| slot.metrics.stored().entries as f64),
    ("storage_refused_total", "counter", "Writes beyond its quota.", |slot| slot.metrics.storage_refused.get() as f64),
];

/// The text for these plugins, each named once; complete families, so it may stand beside others'.
pub fn render(slots: &[Arc<Slot>]) -> String {
    let mut text = Text(String::new());
    for (name, kind, help, figure) in FIGURES {
        text.family(name, kind, help);
        for slot in slots {
            text.sample(name, &[("plugin", slot.name.as_str())], figure(slot));
        }
    }
    text.family("errors_total", "counter", "Faults that calls ended with, by code.");
    for slot in slots {
        for (code, count) in slot.metrics.errors() {
            text.sample("errors_total", &[("plugin", slot.name.as_str()), ("code", code.as_str())], count);
        }
    }
    text.family("call_duration_seconds", "histogram", "From a place in the mailbox to the answer.");
    for slot in slots {
        histogram(&mut text, slot);
    }
    text.0
}

fn histogram(text: &mut Text, slot: &Slot) {
    let cumulative = slot.metrics.latency.cumulative();
    let [counts @ .., all] = &cumulative;
    let plugin = ("plugin", slot.name.as_str());
    for (bound, count) in BOUNDS_US.iter().zip(counts) {
        let le = (*bound as f64 / 1e6).to_string();
        text.sample("call_duration_seconds_bucket", &[plugin, ("le", &le)], count);
    }
    text.sample("call_duration_seconds_bucket", &[plugin, ("le", "+Inf")], all);
    text.sample("call_duration_seconds_sum", &[plugin], seconds(slot.metrics.latency.sum_ns()));
    text.sample("call_duration_seconds_count", &[plugin], all);
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Writing to a string cannot fail, so the results are of no interest.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.0, "# HELP midplane_plugin_{name} {help}\n# TYPE midplane_plugin_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        _ = writeln!(self.0, "midplane_plugin_{name}{{{}}} {value}", labels.join(","));
    }
}

/// The three characters that a label's value may not contain as they are.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
