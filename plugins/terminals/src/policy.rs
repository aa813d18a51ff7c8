//! What the operator has decided in `[config]`: who may open what, and how long it stays.

use midplane_sdk::{Error, host::config, host::shells, host::terminals as pty, json};
use serde::Deserialize;

/// Terminals of one principal where nothing is said.
const TERMINALS_PER_PRINCIPAL_DEFAULT: usize = 64;

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Policy {
    /// Programs that may be opened; empty for any.
    shells: Vec<String>,
    terminals_per_principal: Option<usize>,
    /// A terminal that nobody has used for so long is closed. Off where nothing is said: work that runs is not idle, but
    /// work that waits for a person looks so.
    pub idle_close_ms: Option<u64>,
}

impl Policy {
    /// # Errors
    /// `invalid_params` for a configuration that is none; the host has checked it before.
    pub fn current() -> Result<Self, Error> {
        json::parse("config", &config::get())
    }

    /// Whether `principal` may open `shell` now.
    ///
    /// # Errors
    /// `forbidden` for a program that is not listed, `quota_exceeded` for one terminal too many.
    pub fn admit(&self, shell: Option<&str>, principal: Option<&str>) -> Result<(), Error> {
        self.check_shell(shell)?;
        let max = self.terminals_per_principal.unwrap_or(TERMINALS_PER_PRINCIPAL_DEFAULT);
        let own = |info: &pty::Info| {
            info.exited.is_none()
                && shells::status(&info.id).is_ok_and(|status| status.opened_by.as_deref() == principal)
        };
        if principal.is_some() && pty::list().iter().filter(|info| own(info)).count() >= max {
            let message = format!("{max} terminals of yours are open; close one first");
            return Err(Error::new("quota_exceeded", message));
        }
        Ok(())
    }

    fn check_shell(&self, shell: Option<&str>) -> Result<(), Error> {
        match shell {
            Some(shell) if !self.shells.is_empty() && !self.shells.iter().any(|allowed| allowed == shell) => {
                let message = format!("{shell:?} may not be opened here; allowed are {}", self.shells.join(", "));
                Err(Error::new("forbidden", message))
            }
            _ => Ok(()),
        }
    }

    /// Closes what nobody has used for too long.
    ///
    /// # Errors
    /// Those of the host, for a terminal that could not be closed.
    pub fn close_idle(&self) -> Result<(), Error> {
        let Some(idle_ms) = self.idle_close_ms else { return Ok(()) };
        for info in pty::list().into_iter().filter(|info| info.exited.is_none()) {
            if shells::status(&info.id).is_ok_and(|status| status.idle_ms >= idle_ms) {
                midplane_sdk::info!(terminal = info.id; "nobody has used it for too long; it is closed");
                pty::close(&info.id)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_programs_may_be_opened_and_all_where_none_is_listed() {
        let some = Policy { shells: vec!["/bin/sh".into()], ..Policy::default() };
        assert_eq!(some.check_shell(Some("/bin/bash")).unwrap_err().code, "forbidden");
        assert!(some.check_shell(Some("/bin/sh")).is_ok() && some.check_shell(None).is_ok());
        assert!(Policy::default().check_shell(Some("anything")).is_ok());
    }
}
