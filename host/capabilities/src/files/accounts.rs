//! Whose an entry is: numbers, and the names that `/etc/passwd` and `/etc/group` have for them.
//!
//! Directory services (LDAP and the like) are not asked: they may take seconds, and a listing does not wait for a network. Their
//! users and groups are numbers here.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
};

use midplane_model::limits::ACCOUNTS_BYTES_MAX;

use super::facts::Facts;

/// User and group of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    /// None where the host knows no name.
    pub user: Option<Arc<str>>,
    pub group: Option<Arc<str>>,
}

/// The names as the files have them; read again when those have changed.
pub(super) struct Accounts {
    users: Table,
    groups: Table,
}

/// The names of one moment.
pub(super) struct Names {
    users: Arc<ByNumber>,
    groups: Arc<ByNumber>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { users: Table::of("/etc/passwd"), groups: Table::of("/etc/group") }
    }
}

impl Accounts {
    /// Two looks at the file system.
    pub fn names(&self) -> Names {
        Names { users: self.users.names(), groups: self.groups.names() }
    }
}

impl Names {
    pub fn owner(&self, uid: u32, gid: u32) -> Owner {
        Owner { uid, gid, user: self.users.get(&uid).cloned(), group: self.groups.get(&gid).cloned() }
    }
}

type ByNumber = HashMap<u32, Arc<str>>;

/// `name:…:number:…` by line.
struct Table {
    file: &'static str,
    known: Mutex<(Option<Facts>, Arc<ByNumber>)>,
}

impl Table {
    fn of(file: &'static str) -> Self {
        Self { file, known: Mutex::default() }
    }

    /// Empty where there is no such file.
    fn names(&self) -> Arc<ByNumber> {
        let facts = rustix::fs::stat(self.file).ok().map(|stat| Facts::from(&stat));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != facts {
            let mut text = Vec::new();
            // What cannot be read names nobody.
            _ = File::open(self.file).and_then(|file| file.take(ACCOUNTS_BYTES_MAX).read_to_end(&mut text));
            *known = (facts, Arc::new(parse(&String::from_utf8_lossy(&text))));
        }
        known.1.clone()
    }
}

/// Of several names of one number the first, as everywhere.
fn parse(text: &str) -> ByNumber {
    let mut names = ByNumber::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), _, Some(Ok(number))) = (fields.next(), fields.next(), fields.next().map(str::parse)) {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_lines_that_are_none_name_nobody() {
        let names =
            parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# a note\n+::::::\nme:x:1000:\nbroken:x:x:\n");
        assert_eq!(names.len(), 2);
        assert_eq!((&*names[&0], &*names[&1000]), ("root", "me"));
    }
}
