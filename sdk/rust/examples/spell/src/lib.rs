//! An example: a service of its own, with words from the configuration and learned ones in storage.
//!
//! Outside this repository copy its `wit/host` to `wit/deps/midplane-host` and say `path: "wit"`.

mod dictionary;

use dictionary::Dictionary;
use exports::acme::spell::checker::{Finding, Guest, Problem};
use midplane_sdk::{
    Error,
    host::{config, events, storage},
    json,
    serde_json::{self, Value},
};

midplane_sdk::generate!({ path: ["../../../../wit/host", "wit"], world: "acme:spell/spell" });

struct Spell;

export!(Spell);

/// Longest text in bytes.
const TEXT_BYTES_MAX: u32 = 64 * 1024;
/// Learned words are keys of the storage, behind this.
const LEARNED: &str = "learned/";
/// Learned words; one more is refused.
const LEARNED_MAX: u32 = 1000;

impl Guest for Spell {
    fn check(text: String) -> Result<Vec<Finding>, Problem> {
        if text.len() > TEXT_BYTES_MAX as usize {
            return Err(Problem::TooLong(TEXT_BYTES_MAX));
        }
        let dictionary = dictionary();
        let unknown = dictionary::words(&text).filter(|(_, word)| !dictionary.knows(word));
        let findings = unknown.map(|(offset, word)| Finding {
            word: word.to_owned(),
            // Bounded by the length of the text.
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            suggestions: dictionary.suggestions(word),
        });
        Ok(findings.collect())
    }

    fn learn(word: String) -> Result<bool, String> {
        let word = word.trim().to_lowercase();
        if word.is_empty() || !word.chars().all(char::is_alphabetic) {
            return Err(format!("{word:?} is no word"));
        }
        if dictionary().knows(&word) {
            return Ok(false);
        }
        keep(&word).map_err(|error| error.message)?;
        Ok(true)
    }

    fn words() -> u32 {
        u32::try_from(dictionary().len()).unwrap_or(u32::MAX)
    }
}

fn keep(word: &str) -> Result<(), Error> {
    if learned()?.len() >= LEARNED_MAX as usize {
        return Err(Error::quota_exceeded(format!("{LEARNED_MAX} words are learned already")));
    }
    storage::set(&format!("{LEARNED}{word}"), b"")?;
    events::publish("spell.learned", &serde_json::json!({ "word": word }).to_string())?;
    Ok(())
}

/// The keys of all learned words.
fn learned() -> Result<Vec<String>, Error> {
    storage::keys(LEARNED, None, LEARNED_MAX)
}

/// The built-in words, those of `[config] words`, and the learned ones.
fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::built_in();
    let config: Value = json::parse("config", &config::get()).unwrap_or_default();
    dictionary.extend(config["words"].as_array().into_iter().flatten().filter_map(|word| word.as_str()));
    match learned() {
        Ok(keys) => dictionary.extend(keys.iter().filter_map(|key| key.strip_prefix(LEARNED))),
        Err(error) => midplane_sdk::warn!("learned words are missing: {error}"),
    }
    dictionary
}
