//! What the supervisor keeps about a plugin.

use std::{collections::VecDeque, sync::Arc};

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{handle::Asked, running::Generation};
use crate::{
    bindings::Ending,
    host::{Bundle, Host},
    inbox::Inbox,
    life::{Life, Reload, State},
    package::Package,
    saved::Saved,
    slot::Slot,
};

/// Where a plugin's files are.
#[derive(Debug, Clone)]
pub enum Source {
    Bundle(Bundle),
    /// Name of a folder in the plugin folder.
    Folder(String),
}

impl Source {
    pub fn describe(&self) -> String {
        match self {
            Self::Bundle(_) => "built in".to_owned(),
            Self::Folder(folder) => folder.clone(),
        }
    }

    pub fn folder(&self) -> Option<&str> {
        match self {
            Self::Bundle(_) => None,
            Self::Folder(folder) => Some(folder),
        }
    }

    /// Unique among sources. No folder bears such a name as a bundle has here.
    pub fn key(&self) -> String {
        match self {
            Self::Bundle(bundle) => format!("built in/{:p}", bundle.manifest),
            Self::Folder(folder) => folder.clone(),
        }
    }
}

pub struct Plugin {
    pub slot: Arc<Slot>,
    pub inbox: Inbox,
    pub source: Source,
    /// What runs, or would.
    pub package: Arc<Package>,
    pub life: Life,
    /// The generation that serves.
    pub generation: Option<Generation>,
    /// The number of the newest generation there ever was.
    pub generations: u64,
    /// The former generation, while the present one has to prove itself.
    pub probation: Option<Probation>,
    /// Files that failed in their probation: nobody but a request loads them again.
    pub refused: Option<Refused>,
    /// What runs in a better form, which waits until a probation is over.
    pub upgrade: Option<Arc<Package>>,
    /// The state for the next start that goes on where the last instance ended.
    pub saved: Option<Arc<Saved>>,
    /// What a task does for this plugin now; there is never more than one.
    pub work: Option<Work>,
    /// What waits for that.
    pub errands: VecDeque<Errand>,
    pub restart_at: Option<Instant>,
    /// When the instances are asked for their health.
    pub health_at: Instant,
}

/// Work under way, and who waits for what comes of it.
pub struct Work {
    pub kind: Kind,
    pub asked: Vec<Asked>,
    /// Ends work that can be given up.
    pub cancel: CancellationToken,
}

/// What a task is doing. What the supervisor needs to end it stays with the supervisor.
pub enum Kind {
    /// Instances that are missing are made.
    Start { saved: Arc<Saved> },
    /// A new generation is made beside the present one.
    Replace(Replacement),
    /// The generation in charge, and a parked one, end.
    Stop,
    /// What is left of a generation that failed in its probation ends.
    RollBack { reason: String },
    /// The same as [`Kind::Stop`]; then the plugin is forgotten.
    Remove,
}

/// Files on their way into a plugin.
pub struct Replacement {
    pub source: Source,
    pub package: Arc<Package>,
    /// Why, as people read it.
    pub why: String,
}

/// Something that is done when nothing else is being done for the plugin.
pub enum Errand {
    Replace {
        with: Replacement,
        asked: Vec<Asked>,
    },
    Enable(Asked),
    Disable(Asked),
    /// Its files are gone; somebody may wait until it is, too.
    Remove(Option<Asked>),
}

pub struct Probation {
    pub reload: Reload,
    pub old: Generation,
    /// Where the old one's files came from.
    pub source: Source,
    pub until: Instant,
}

pub struct Refused {
    pub package: Arc<Package>,
    pub reason: String,
}

impl Errand {
    pub fn asked(&self) -> &[Asked] {
        match self {
            Self::Replace { asked, .. } => asked,
            Self::Enable(asked) | Self::Disable(asked) => std::slice::from_ref(asked),
            Self::Remove(asked) => asked.as_slice(),
        }
    }

    pub fn into_asked(self) -> Vec<Asked> {
        match self {
            Self::Replace { asked, .. } => asked,
            Self::Enable(asked) | Self::Disable(asked) => vec![asked],
            Self::Remove(asked) => asked.into_iter().collect(),
        }
    }
}

impl Plugin {
    /// Whether nothing is being done for it and nothing waits for that.
    pub fn is_idle(&self) -> bool {
        self.work.is_none() && self.errands.is_empty()
    }

    /// Instances that serve.
    pub fn left(&self) -> usize {
        self.generation.as_ref().map_or(0, |generation| generation.instances.len())
    }

    /// Instances that the manifest wants beyond those.
    pub fn missing(&self) -> usize {
        self.package.manifest.limits.instances.saturating_sub(self.left())
    }

    /// The newest files on their way into it.
    pub fn coming(&self) -> Option<&Replacement> {
        let waiting = self.errands.iter().rev().find_map(|errand| match errand {
            Errand::Replace { with, .. } => Some(with),
            _ => None,
        });
        waiting.or(match &self.work {
            Some(Work { kind: Kind::Replace(with), .. }) => Some(with),
            _ => None,
        })
    }

    /// Whether it is on its way out: what comes now is a new plugin, also where it is the same files.
    pub fn leaves(&self) -> bool {
        matches!(&self.work, Some(Work { kind: Kind::Remove, .. }))
            || self.errands.iter().any(|errand| matches!(errand, Errand::Remove(_)))
    }

    /// The files that it will run when everything that was begun is done.
    pub fn target(&self) -> &Arc<Package> {
        self.coming().map_or(&self.package, |with| &with.package)
    }

    /// A generation without instances is over; its state is for the next one.
    pub fn end_generation_if_empty(&mut self) {
        if self.left() == 0
            && let Some(generation) = self.generation.take()
        {
            self.saved = Some(generation.saved);
        }
    }

    /// Takes what it subscribed to, its timers and its watch: whatever starts next says anew what it wants.
    pub fn empty_inbox(&mut self, host: &Arc<Host>) -> Inbox {
        std::mem::replace(&mut self.inbox, Inbox::start(host.clone(), self.slot.clone()))
    }

    /// The packages at hand, for files that are theirs.
    pub fn packages(&self) -> Vec<Arc<Package>> {
        let refused = self.refused.iter().map(|refused| &refused.package);
        [&self.package, self.target()].into_iter().chain(refused).cloned().collect()
    }

    /// When time alone makes something happen.
    pub fn next_due(&self) -> Option<Instant> {
        if self.work.is_some() {
            return None;
        }
        let serves = matches!(self.life.state(), State::Running | State::Degraded);
        let probation = self.probation.as_ref().map(|probation| probation.until);
        [self.restart_at, probation, serves.then_some(self.health_at)].into_iter().flatten().min()
    }

    /// The end of the host: what runs finishes what is inside and ends.
    pub async fn end(self) {
        self.slot.visits.end_all();
        let generations = self.generation.into_iter().chain(self.probation.map(|probation| probation.old));
        join_all(generations.map(|generation| generation.retire(Ending::Shutdown))).await;
        self.inbox.close().await;
    }
}
