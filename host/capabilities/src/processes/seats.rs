//! How many processes run, in all and of each owner.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use midplane_model::PluginName;

use super::{error::ProcessError, options::ProcessesConfig};

#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<BTreeMap<PluginName, usize>>>);

/// Held by a process until it has been reaped.
pub(super) struct Seat {
    seats: Seats,
    owner: PluginName,
}

impl Seats {
    /// # Errors
    /// `TooManyOfOwner`, `TooMany`.
    pub(super) fn take(&self, owner: &PluginName, config: &ProcessesConfig) -> Result<Seat, ProcessError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= config.running_max {
            return Err(ProcessError::TooMany { max: config.running_max });
        }
        let own = taken.entry(owner.clone()).or_default();
        if *own >= config.running_per_owner_max {
            return Err(ProcessError::TooManyOfOwner { max: config.running_per_owner_max });
        }
        *own += 1;
        Ok(Seat { seats: self.clone(), owner: owner.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}
