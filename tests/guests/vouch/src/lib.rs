//! Says who comes, as it is told. The secrets `trap`, `hang` and `unsure` do what they are called.

use std::{cell::RefCell, collections::HashMap, hint::spin_loop};

use exports::{
    midplane::host::authenticator::{Credential, Error, Guest as Authenticator, Identity},
    test::vouch::vouch::Guest,
};
use midplane_sdk::{
    host::storage,
    serde_json::{self, Value},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:vouch/guest" });

struct Vouch;

export!(Vouch);

thread_local! {
    static ASKED: RefCell<HashMap<String, u32>> = RefCell::default();
}

impl Guest for Vouch {
    fn admit(secret: String, subject: String, scopes: Vec<String>, expires_at_ms: Option<u64>) -> Result<(), Error> {
        let known = serde_json::json!({ "subject": subject, "scopes": scopes, "expires_at_ms": expires_at_ms });
        storage::set(&secret, known.to_string().as_bytes())
    }

    fn dismiss(secret: String) -> Result<(), Error> {
        storage::delete(&secret).map(drop)
    }

    fn asked(secret: String) -> u32 {
        ASKED.with_borrow(|asked| asked.get(&secret).copied().unwrap_or_default())
    }
}

impl Authenticator for Vouch {
    fn authenticate(credential: Credential) -> Result<Option<Identity>, Error> {
        let secret = match credential {
            Credential::Bearer(token) => token,
            Credential::Cookie((name, value)) => format!("{name}={value}"),
        };
        ASKED.with_borrow_mut(|asked| *asked.entry(secret.clone()).or_default() += 1);
        match secret.as_str() {
            "trap" => panic!("asked to"),
            "hang" => loop {
                spin_loop();
            },
            "unsure" => return Err(Error { code: "unavailable".into(), message: "unsure".into(), details: None }),
            _ => {}
        }
        let Some(known) = storage::get(&secret)? else { return Ok(None) };
        let known: Value = serde_json::from_slice(&known).map_err(|error| Error::internal(error.to_string()))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some(Identity {
            subject: text(&known["subject"]),
            scopes: known["scopes"].as_array().into_iter().flatten().map(text).collect(),
            expires_at_ms: known["expires_at_ms"].as_u64(),
        }))
    }
}
