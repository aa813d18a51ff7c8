//! Who is calling, and what the credential allows (contract, section 5).

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{
    fault::Fault,
    topic::{Pattern, Topic},
};

/// What a credential may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Read,
    Write,
    Terminal,
    Exec,
    Admin,
    /// `method:<pattern>`: the methods that the pattern selects, whatever scope they need.
    Methods(Pattern),
}

/// Written before the pattern of [`Scope::Methods`].
const METHODS_PREFIX: &str = "method:";

impl Scope {
    /// Scopes that are words.
    const WORDS: [(&'static str, Self); 5] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("terminal", Self::Terminal),
        ("exec", Self::Exec),
        ("admin", Self::Admin),
    ];

    /// # Errors
    /// `invalid_params` naming what there is, or what is wrong with the pattern.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(pattern) = text.strip_prefix(METHODS_PREFIX) {
            return Pattern::parse(pattern).map(Self::Methods);
        }
        let word = Self::WORDS.into_iter().find(|(word, _)| *word == text);
        word.map(|(_, scope)| scope).ok_or_else(|| {
            let message = format!("{text:?} is none of read, write, terminal, exec, admin, method:<pattern>");
            Fault::invalid_params("scope", message)
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Methods(pattern) = self {
            return write!(f, "{METHODS_PREFIX}{}", pattern.as_str());
        }
        let word = Self::WORDS.iter().find(|(_, scope)| scope == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

/// Who is calling. `admin` includes every other scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Of the credential. Of the host's own, no two live ones have the same; an authenticator may vouch for several of one person.
    pub name: Arc<str>,
    pub scopes: BTreeSet<Scope>,
}

impl Principal {
    /// The holder of the first token, and the host itself.
    #[must_use]
    pub fn owner() -> Self {
        Self { name: "owner".into(), scopes: Scope::WORDS.into_iter().map(|(_, scope)| scope).collect() }
    }

    /// What tells it apart from others, also after a restart of the host: of equal name and scopes is one principal.
    #[must_use]
    pub fn key(&self) -> String {
        let scopes: Vec<String> = self.scopes.iter().map(Scope::to_string).collect();
        format!("{} ({})", self.name, scopes.join(" "))
    }

    /// Whether this principal has a scope, itself or within a wider one. Of `method:` patterns, the wider contains the
    /// narrower.
    #[must_use]
    pub fn may(&self, scope: &Scope) -> bool {
        let covers = |own: &Scope| match (own, scope) {
            (Scope::Admin, _) => true,
            (Scope::Methods(own), Scope::Methods(pattern)) => own.contains(pattern),
            (own, scope) => own == scope,
        };
        self.scopes.iter().any(covers)
    }

    /// Whether this principal may call a method that needs `scope`.
    #[must_use]
    pub fn may_call(&self, method: &str, scope: &Scope) -> bool {
        let selected = || {
            let name = Topic::parse(method).ok();
            let selects = |own: &Scope| matches!((own, &name), (Scope::Methods(own), Some(name)) if own.matches(name));
            self.scopes.iter().any(selects)
        };
        self.may(scope) || selected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(scopes: &[&str]) -> Principal {
        let scopes = scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
        Principal { name: "p".into(), scopes }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["read", "write", "terminal", "exec", "admin", "method:files.*", "method:**"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Read", "root", "method:", "method:Files.*", "method:a..b"] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_method_pattern_opens_its_methods_and_no_others() {
        let narrow = principal(&["method:files.*", "read"]);
        assert!(narrow.may_call("files.write", &Scope::Write));
        assert!(narrow.may_call("workspace.list", &Scope::Read));
        assert!(!narrow.may_call("workspace.create", &Scope::Write));
        assert!(!narrow.may_call("files.content.put", &Scope::Write));
    }

    #[test]
    fn nobody_has_more_than_was_given() {
        let scope = |text| Scope::parse(text).unwrap();
        assert!(principal(&["admin"]).may(&scope("method:**")) && principal(&["admin"]).may(&scope("exec")));
        assert!(principal(&["method:files.*"]).may(&scope("method:files.read")));
        assert!(!principal(&["method:files.*"]).may(&scope("method:files.**")));
        assert!(!principal(&["method:**"]).may(&scope("admin")));
        assert!(!principal(&["write"]).may(&scope("read")));
    }
}
