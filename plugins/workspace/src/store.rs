//! Where workspaces are kept: `workspace/<id>` holds a document, `active` the id of the active one, `last` the number of
//! the one made last. What belongs together is written in one batch, so a crash leaves all of it or nothing.

use midplane_sdk::{
    Error,
    host::storage::{self, Operation},
    json,
};

use crate::document::Workspace;

const PREFIX: &str = "workspace/";
const ACTIVE: &str = "active";
const LAST: &str = "last";

/// Workspaces of one host; one more is `quota_exceeded`.
pub const WORKSPACES_MAX: usize = 1000;

/// # Errors
/// `not_found` when there is no such workspace.
pub fn load(id: &str) -> Result<Workspace, Error> {
    let unknown = || Error::not_found(format!("no workspace {id}")).with("id", id);
    // An id comes from a client: only what this module gives out becomes a key.
    number(id).ok_or_else(unknown)?;
    decode(id, &storage::get(&key(id))?.ok_or_else(unknown)?)
}

/// The workspace with this id, or the active one.
///
/// # Errors
/// `not_found` when there is none.
pub fn resolve(id: Option<&str>) -> Result<Workspace, Error> {
    match id {
        Some(id) => load(id),
        None => match active()? {
            Some(id) => load(&id),
            None => Err(Error::not_found("no workspace is active; create one")),
        },
    }
}

/// All workspaces, the oldest first.
pub fn all() -> Result<Vec<Workspace>, Error> {
    let mut ids: Vec<String> = keys()?.into_iter().map(|key| key[PREFIX.len()..].to_owned()).collect();
    ids.sort_by_key(|id| number(id));
    ids.iter().map(|id| load(id)).collect()
}

pub fn active() -> Result<Option<String>, Error> {
    Ok(storage::get(ACTIVE)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The id that the next workspace gets when it is written with [`insert`].
pub fn next_id() -> Result<String, Error> {
    let last = storage::get(LAST)?.and_then(|bytes| String::from_utf8_lossy(&bytes).parse::<u64>().ok()).unwrap_or(0);
    Ok(format!("w{}", last + 1))
}

/// Writes a new workspace and, with `activate`, makes it the active one.
pub fn insert(workspace: &Workspace, activate: bool) -> Result<(), Error> {
    let last = workspace.id.trim_start_matches('w').as_bytes().to_vec();
    let mut steps =
        vec![Operation::Set((key(&workspace.id), json::bytes(workspace)?)), Operation::Set((LAST.to_owned(), last))];
    if activate {
        steps.push(set_active(&workspace.id));
    }
    storage::batch(&steps)
}

/// Writes a changed workspace.
pub fn update(workspace: &Workspace) -> Result<(), Error> {
    storage::set(&key(&workspace.id), &json::bytes(workspace)?)
}

/// Writes a changed workspace and makes it the active one.
pub fn update_and_activate(workspace: &Workspace) -> Result<(), Error> {
    storage::batch(&[Operation::Set((key(&workspace.id), json::bytes(workspace)?)), set_active(&workspace.id)])
}

/// Removes a workspace and makes `active` the active one, or none.
pub fn remove(id: &str, active: Option<&str>) -> Result<(), Error> {
    let active = active.map_or_else(|| Operation::Delete(ACTIVE.to_owned()), set_active);
    storage::batch(&[Operation::Delete(key(id)), active])
}

fn set_active(id: &str) -> Operation {
    Operation::Set((ACTIVE.to_owned(), id.as_bytes().to_vec()))
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// `w12` is the twelfth workspace.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix('w').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?.parse().ok()
}

fn keys() -> Result<Vec<String>, Error> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = storage::keys(PREFIX, keys.last().map(String::as_str), 0)?;
        if page.is_empty() {
            return Ok(keys);
        }
        keys.extend(page);
    }
}

fn decode(id: &str, bytes: &[u8]) -> Result<Workspace, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        midplane_sdk::warn!("the document of workspace {id} cannot be read: {error}");
        Error::internal(format!("the document of workspace {id} cannot be read"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_were_given_out_become_keys() {
        assert_eq!(number("w12"), Some(12));
        for id in ["", "w", "12", "w-1", "w+1", "../active", "w1/x"] {
            assert_eq!(number(id), None, "{id:?}");
        }
    }
}
