//! The media type of a file, and whether a browser shows it or saves it.
//!
//! Documents that could run scripts are named for what they are and saved; the host sandboxes them besides. What is text to a
//! person is plain text to a browser, whatever language it is in.

use midplane_sdk::host::files as disk;

use crate::{
    category::{self, SNIFF_BYTES},
    exports::midplane::files::files::Category,
};

pub struct Media {
    pub name: String,
    /// Nothing in it runs: a browser may show it.
    pub shown: bool,
}

const SHOWN: &[(&str, &[&str])] = &[
    ("image/png", &["png"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/gif", &["gif"]),
    ("image/webp", &["webp"]),
    ("image/avif", &["avif"]),
    ("image/bmp", &["bmp"]),
    ("image/x-icon", &["ico"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/wav", &["wav"]),
    ("audio/ogg", &["ogg", "oga", "opus"]),
    ("audio/flac", &["flac"]),
    ("audio/mp4", &["m4a"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/webm", &["webm"]),
    ("video/ogg", &["ogv"]),
    ("application/json", &["json"]),
    ("text/csv; charset=utf-8", &["csv"]),
    ("text/markdown; charset=utf-8", &["md", "markdown"]),
];
const SAVED: &[(&str, &[&str])] = &[
    ("text/html; charset=utf-8", &["html", "htm"]),
    ("image/svg+xml", &["svg"]),
    ("application/xml", &["xml", "xhtml"]),
    ("text/javascript; charset=utf-8", &["js", "mjs", "cjs"]),
    ("text/css; charset=utf-8", &["css"]),
    ("application/pdf", &["pdf"]),
    ("application/wasm", &["wasm"]),
    ("application/zip", &["zip", "jar", "whl"]),
    ("application/gzip", &["gz", "tgz"]),
    ("application/x-tar", &["tar"]),
];

/// By its name, else by its first bytes.
pub fn of(path: &str) -> Media {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let find = |table: &[(&str, &[&str])]| {
        table.iter().find(|(_, extensions)| extensions.contains(&extension)).map(|(name, _)| (*name).to_owned())
    };
    if let Some(name) = find(SHOWN) {
        return Media { name, shown: true };
    }
    if let Some(name) = find(SAVED) {
        return Media { name, shown: false };
    }
    let category = category::by_name(&name).unwrap_or_else(|| {
        let start = disk::read(path, 0, Some(SNIFF_BYTES));
        start.map_or(Category::Binary, |start| category::by_content(&start.bytes))
    });
    match category {
        Category::Text | Category::Code => Media { name: "text/plain; charset=utf-8".to_owned(), shown: true },
        _ => Media { name: "application/octet-stream".to_owned(), shown: false },
    }
}
