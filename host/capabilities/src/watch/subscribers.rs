//! Who gets the batches, each at their own pace.

use std::sync::{Mutex, MutexGuard, PoisonError};

use midplane_model::limits::WATCH_BATCHES_MAX;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Batch, Degraded, Rescan, Scope};
use crate::files::RelativePath;

/// The receivers of one watcher.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<List>);

#[derive(Default)]
struct List {
    subscribers: Vec<Subscriber>,
    closed: bool,
}

struct Subscriber {
    scope: Scope,
    sender: mpsc::Sender<Batch>,
    /// What it has to read again, because batches found its channel full.
    owed: Option<RelativePath>,
}

impl Subscribers {
    /// Another receiver. When its channel is full, batches merge into an owed rescan.
    /// `degraded` is what it has to know in the beginning.
    pub fn add(&self, scope: Scope, degraded: Option<Degraded>) -> mpsc::Receiver<Batch> {
        let (sender, receiver) = mpsc::channel(WATCH_BATCHES_MAX);
        let mut list = self.lock();
        if !list.closed {
            let mut subscriber = Subscriber { scope, sender, owed: None };
            if degraded.is_none() || subscriber.send(&Batch { degraded, ..Batch::default() }) {
                list.subscribers.push(subscriber);
            }
        }
        receiver
    }

    /// How many there are that still read.
    pub fn count(&self) -> usize {
        let mut list = self.lock();
        list.subscribers.retain(|subscriber| !subscriber.sender.is_closed());
        list.subscribers.len()
    }

    /// Gives the batch to everybody.
    pub fn send(&self, batch: &Batch) {
        self.lock().subscribers.retain_mut(|subscriber| subscriber.send(batch));
    }

    /// Tries again to tell those who fell behind; whether some still are.
    pub fn settle(&self) -> bool {
        let mut list = self.lock();
        list.subscribers.retain_mut(Subscriber::settle);
        list.subscribers.iter().any(|subscriber| subscriber.owed.is_some())
    }

    /// Ends all receivers, and those that come later.
    pub fn close(&self) {
        let mut list = self.lock();
        list.closed = true;
        list.subscribers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// False when the receiver is gone.
    fn send(&mut self, batch: &Batch) -> bool {
        if !self.settle() {
            return false;
        }
        let Some(batch) = self.scope.narrow(batch) else { return true };
        // Nothing overtakes what is owed.
        if self.owed.is_none() {
            match self.sender.try_send(batch.clone()) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(_)) => {}
            }
        }
        self.owed = self.owed.take().into_iter().chain(region(&batch)).reduce(|a, b| a.common_ancestor(&b));
        true
    }

    fn settle(&mut self) -> bool {
        let Some(path) = self.owed.take() else { return !self.sender.is_closed() };
        match self.sender.try_send(Batch { rescan: Some(Rescan::unrepaired(path.clone())), ..Batch::default() }) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                self.owed = Some(path);
                true
            }
        }
    }
}

/// The directory to read again for all that a batch says. What was repaired is among its changes.
fn region(batch: &Batch) -> Option<RelativePath> {
    let paths = batch.changes.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]).flatten();
    let directories = paths.map(|path| path.parent().unwrap_or_else(RelativePath::root));
    let rescan = batch.rescan.as_ref().filter(|rescan| !rescan.repaired);
    directories.chain(rescan.map(|rescan| rescan.path.clone())).reduce(|a, b| a.common_ancestor(&b))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Change, ChangeKind},
        *,
    };

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("path")
    }

    fn batch(text: &str) -> Batch {
        let change =
            Change { kind: ChangeKind::Created, path: path(text), from: None, dir: false, version: None, origin: None };
        Batch { changes: vec![change], ..Batch::default() }
    }

    fn all(subscribers: &Subscribers) -> mpsc::Receiver<Batch> {
        subscribers.add(Scope::everything(), None)
    }

    #[test]
    fn batches_that_find_a_receiver_full_become_one_rescan_before_anything_newer() {
        let subscribers = Subscribers::default();
        let (mut slow, mut fast) = (all(&subscribers), all(&subscribers));
        for n in 0..WATCH_BATCHES_MAX + 2 {
            subscribers.send(&batch(&format!("a/b{n}/c")));
            assert!(fast.try_recv().is_ok());
        }
        assert!(subscribers.settle());
        for _ in 0..WATCH_BATCHES_MAX {
            assert_eq!(slow.try_recv().expect("kept").rescan, None);
        }
        subscribers.send(&batch("x"));
        assert_eq!(slow.try_recv(), Ok(Batch { rescan: Some(Rescan::unrepaired(path("a"))), ..Batch::default() }));
        assert_eq!(slow.try_recv(), Ok(batch("x")));
        assert!(!subscribers.settle());
    }

    #[test]
    fn receivers_that_are_gone_are_forgotten_and_closing_ends_the_rest() {
        let subscribers = Subscribers::default();
        drop(all(&subscribers));
        let mut stays = all(&subscribers);
        subscribers.send(&batch("a"));
        assert_eq!(subscribers.count(), 1);
        subscribers.close();
        assert_eq!(stays.try_recv(), Ok(batch("a")));
        assert_eq!(stays.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(all(&subscribers).try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }
}
