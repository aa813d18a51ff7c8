//! Figures of the capabilities, as Prometheus text.

use std::fmt::Write as _;

use midplane_capabilities::{search::SearchStats, watch::WatchStats};

pub fn render(searches: SearchStats, watch: WatchStats) -> String {
    let SearchStats { running, begun, files } = searches;
    let WatchStats { watched, polled, subscribers } = watch;
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("searches_running", "gauge", "Searches that have a thread at work.", running as u64),
        ("searches_total", "counter", "Searches that were begun.", begun),
        ("search_files_total", "counter", "Files that searches have looked into.", files),
        ("watch_directories", "gauge", "Directories that the kernel watches.", watched as u64),
        ("watch_polled_directories", "gauge", "Directories that are polled.", polled as u64),
        ("watch_subscribers", "gauge", "Plugins that hear of changes.", subscribers as u64),
    ] {
        // Writing to a string does not fail.
        _ = writeln!(text, "# HELP midplane_{name} {help}\n# TYPE midplane_{name} {kind}\nmidplane_{name} {value}");
    }
    text
}
