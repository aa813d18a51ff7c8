//! Input that arrives once, also over a broken connection: bytes are numbered by their sender, and the numbers go on when
//! another attachment continues the input of a former one.

use std::{collections::VecDeque, sync::Arc};

use midplane_model::limits::TERMINAL_LINEAGES_MAX;

/// The input of one attachment, or of several one after the other.
pub(super) struct Lineage {
    pub(super) name: Arc<str>,
    /// Bytes accepted, ever.
    pub(super) accepted: u64,
    pub(super) ack_due: bool,
    /// Some was refused for lack of room: the client is told when there is some again.
    pub(super) starved: bool,
    /// There is. Told by an acknowledgement of its own: one that also told of the refusal would look like the refusal alone, and
    /// the client would wait for ever.
    pub(super) room_due: bool,
}

impl Lineage {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, accepted: 0, ack_due: false, starved: false, room_due: false }
    }

    /// Goes on in another attachment, under the name that this one had.
    pub(super) fn give_away(&mut self) -> Self {
        let name = std::mem::replace(&mut self.name, Arc::from(""));
        Self { accepted: self.accepted, ..Self::new(name) }
    }

    fn is_continued(&self) -> bool {
        self.name.is_empty()
    }
}

/// Lineages of those who have left and had typed: of others there is nothing to go on with, and they must not crowd these out. When
/// full, the oldest is forgotten: who comes later begins a new one.
#[derive(Default)]
pub(super) struct Lineages {
    left: VecDeque<Lineage>,
}

impl Lineages {
    pub(super) fn keep(&mut self, lineage: Lineage) {
        if lineage.accepted == 0 || lineage.is_continued() {
            return;
        }
        if self.left.len() == TERMINAL_LINEAGES_MAX {
            self.left.pop_front();
        }
        self.left.push_back(lineage);
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Lineage> {
        let index = self.left.iter().position(|lineage| &*lineage.name == name)?;
        self.left.remove(index).map(|lineage| Lineage { ack_due: true, ..lineage })
    }
}
