//! The fence: how far `seq`s may have been given out. It is written ahead of use, so that after a crash the next one is
//! higher than any that anybody may have seen.

use std::{io, path::Path, sync::Arc};

const NAME: &str = "fence";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub epoch: Arc<str>,
    pub ceiling: u64,
}

impl Fence {
    /// None when there is none, or when it cannot be trusted.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(folder.join(NAME)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step, durable when this returns.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        midplane_durable::replace(&folder.join(NAME), self.text().as_bytes())
    }

    fn text(&self) -> String {
        let line = format!("{} {}", self.epoch, self.ceiling);
        format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace();
        let fence = Self { epoch: parts.next()?.into(), ceiling: parts.next()?.parse().ok()? };
        (fence.text() == text).then_some(fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_comes_back_and_a_changed_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Fence::read(folder.path()).unwrap(), None);
        let fence = Fence { epoch: "0123456789abcdef".into(), ceiling: 65_536 };
        fence.write(folder.path()).unwrap();
        assert_eq!(Fence::read(folder.path()).unwrap(), Some(fence.clone()));
        let text = fence.text().replace("65536", "65537");
        std::fs::write(folder.path().join(NAME), text).unwrap();
        assert_eq!(Fence::read(folder.path()).unwrap(), None);
    }
}
