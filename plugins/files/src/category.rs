//! What a file is to a client, by its name or its first bytes.

use crate::exports::midplane::files::files::Category;

/// Bytes that decide what a file with a name that says nothing is.
pub const SNIFF_BYTES: u64 = 512;

const CODE: &[&str] = &[
    "rs", "c", "h", "cc", "cpp", "cxx", "hpp", "cs", "go", "java", "kt", "kts", "swift", "scala", "py", "pyi", "rb",
    "php", "pl", "lua", "r", "jl", "hs", "ml", "ex", "exs", "erl", "clj", "dart", "zig", "nim", "js", "mjs", "cjs",
    "jsx", "ts", "mts", "tsx", "vue", "svelte", "html", "htm", "css", "scss", "sass", "less", "json", "jsonc", "json5",
    "yaml", "yml", "toml", "xml", "sql", "graphql", "proto", "wit", "wat", "sh", "bash", "zsh", "fish", "ps1", "bat",
    "cmake", "mk", "gradle", "tf", "nix", "asm", "s", "ipynb",
];
const TEXT: &[&str] = &[
    "txt",
    "md",
    "markdown",
    "rst",
    "adoc",
    "org",
    "tex",
    "log",
    "csv",
    "tsv",
    "ini",
    "cfg",
    "conf",
    "env",
    "lock",
    "properties",
    "diff",
    "patch",
    "srt",
    "vtt",
];
const IMAGE: &[&str] = &["png", "jpg", "jpeg", "gif", "webp", "bmp", "ico", "svg", "avif", "tif", "tiff", "heic"];
const AUDIO: &[&str] = &["mp3", "wav", "ogg", "oga", "flac", "m4a", "aac", "opus", "mid", "midi"];
const VIDEO: &[&str] = &["mp4", "m4v", "webm", "mkv", "mov", "avi", "ogv", "mpg", "mpeg"];
const ARCHIVE: &[&str] = &["zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "jar", "whl", "deb", "rpm"];
const DOCUMENT: &[&str] = &["pdf", "doc", "docx", "odt", "rtf", "xls", "xlsx", "ods", "ppt", "pptx", "odp", "epub"];
const BINARY: &[&str] =
    &["exe", "dll", "so", "dylib", "a", "o", "obj", "lib", "bin", "wasm", "class", "pyc", "db", "sqlite", "iso", "img"];
const BY_EXTENSION: &[(Category, &[&str])] = &[
    (Category::Code, CODE),
    (Category::Text, TEXT),
    (Category::Image, IMAGE),
    (Category::Audio, AUDIO),
    (Category::Video, VIDEO),
    (Category::Archive, ARCHIVE),
    (Category::Document, DOCUMENT),
    (Category::Binary, BINARY),
];
const CODE_NAMES: &[&str] =
    &["makefile", "dockerfile", "containerfile", "justfile", "rakefile", "gemfile", "jenkinsfile", "vagrantfile"];
const TEXT_NAMES: &[&str] = &[
    "readme",
    "license",
    "licence",
    "copying",
    "authors",
    "changelog",
    "notice",
    "todo",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".dockerignore",
    ".editorconfig",
    ".env",
    ".npmrc",
];

/// First bytes that only one kind of file has.
const SIGNATURES: &[(&[u8], Category)] = &[
    (b"\x89PNG\r\n\x1a\n", Category::Image),
    (b"\xff\xd8\xff", Category::Image),
    (b"GIF8", Category::Image),
    (b"%PDF-", Category::Document),
    (b"PK\x03\x04", Category::Archive),
    (b"\x1f\x8b", Category::Archive),
    (b"\xfd7zXZ\0", Category::Archive),
    (b"\x28\xb5\x2f\xfd", Category::Archive),
    (b"OggS", Category::Audio),
    (b"ID3", Category::Audio),
    (b"fLaC", Category::Audio),
    (b"\x1a\x45\xdf\xa3", Category::Video),
    (b"#!", Category::Code),
];

/// By the file's name; none where it says nothing.
pub fn by_name(name: &str) -> Option<Category> {
    let name = name.to_ascii_lowercase();
    if CODE_NAMES.contains(&name.as_str()) {
        return Some(Category::Code);
    }
    if TEXT_NAMES.contains(&name.as_str()) {
        return Some(Category::Text);
    }
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    BY_EXTENSION.iter().find(|(_, extensions)| extensions.contains(&extension)).map(|(category, _)| *category)
}

/// By the first bytes: a signature, else text where they are UTF-8 without NUL.
pub fn by_content(start: &[u8]) -> Category {
    if let Some((_, category)) = SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature)) {
        return *category;
    }
    let text = match std::str::from_utf8(start) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none(),
    };
    if text && !start.contains(&0) { Category::Text } else { Category::Binary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_without_regard_to_case() {
        for (name, category) in [
            ("main.rs", Category::Code),
            ("Makefile", Category::Code),
            ("README", Category::Text),
            ("notes.MD", Category::Text),
            ("a.tar.gz", Category::Archive),
            ("photo.JPG", Category::Image),
            ("x.wasm", Category::Binary),
        ] {
            assert_eq!(by_name(name), Some(category), "{name}");
        }
    }

    #[test]
    fn names_that_say_nothing_leave_it_to_the_content() {
        for name in ["data", ".rs", "a.unheard-of", ""] {
            assert_eq!(by_name(name), None, "{name}");
        }
        assert_eq!(by_content(b"plain words"), Category::Text);
        assert_eq!(by_content(b""), Category::Text);
        assert_eq!(by_content(b"#!/bin/sh\n"), Category::Code);
        assert_eq!(by_content(b"\x89PNG\r\n\x1a\n...."), Category::Image);
        assert_eq!(by_content(b"a\0b"), Category::Binary);
        assert_eq!(by_content(b"\xff\xfe\x41"), Category::Binary);
    }

    #[test]
    fn a_character_cut_at_the_end_is_still_text() {
        assert_eq!(by_content("gr\u{fc}n".as_bytes().split_at(3).0), Category::Text);
    }
}
