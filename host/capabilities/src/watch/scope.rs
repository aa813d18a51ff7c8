//! What of the changes concerns somebody who may see a part of the tree only.

use super::{Batch, Change, ChangeKind, Rescan};
use crate::files::RelativePath;

/// Parts of the tree: everything at or below one of some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Vec<RelativePath>);

impl Scope {
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![RelativePath::root()])
    }

    #[must_use]
    pub fn of(floors: Vec<RelativePath>) -> Self {
        Self(floors)
    }

    #[must_use]
    pub fn holds(&self, path: &RelativePath) -> bool {
        self.0.iter().any(|floor| path.is_within(floor))
    }

    /// The part of a batch that lies inside; none when nothing does. What moves in is new, what moves out is gone.
    pub(super) fn narrow(&self, batch: &Batch) -> Option<Batch> {
        if self.holds(&RelativePath::root()) {
            return Some(batch.clone());
        }
        let mut narrowed =
            Batch { rescan: batch.rescan.as_ref().and_then(|rescan| self.narrowed(rescan)), ..Batch::default() };
        let degraded = batch.degraded.clone();
        narrowed.degraded = degraded.filter(|degraded| self.part_of(Some(&degraded.path)).is_some());
        for change in &batch.changes {
            self.add(change, &mut narrowed);
        }
        (narrowed != Batch::default()).then_some(narrowed)
    }

    fn add(&self, change: &Change, narrowed: &mut Batch) {
        let from = change.from.as_ref().filter(|from| self.holds(from));
        let gone = |path: &RelativePath, dir| Change {
            kind: ChangeKind::Deleted,
            path: path.clone(),
            from: None,
            dir,
            version: None,
            origin: change.origin.clone(),
        };
        match (self.holds(&change.path), change.kind) {
            (true, ChangeKind::Moved) if from.is_none() => {
                let created = Change { kind: ChangeKind::Created, from: None, ..change.clone() };
                narrowed.changes.push(created);
                if change.dir {
                    // What is below has not changed, so nothing tells of it.
                    narrowed.owe(&change.path);
                }
            }
            (true, _) => narrowed.changes.push(change.clone()),
            (false, ChangeKind::Moved) => {
                if let Some(from) = from {
                    narrowed.changes.push(gone(from, change.dir));
                }
                // A part may have come or gone with a directory above it.
                for floor in &self.0 {
                    if change.from.as_ref().is_some_and(|from| floor.is_within(from)) {
                        narrowed.changes.push(gone(floor, true));
                    }
                    if floor.is_within(&change.path) {
                        narrowed.owe(floor);
                    }
                }
            }
            (false, ChangeKind::Deleted) => {
                let floors = self.0.iter().filter(|floor| floor.is_within(&change.path));
                narrowed.changes.extend(floors.map(|floor| gone(floor, true)));
            }
            (false, ChangeKind::Created | ChangeKind::Modified) => {}
        }
    }

    fn narrowed(&self, rescan: &Rescan) -> Option<Rescan> {
        self.part_of(Some(&rescan.path)).map(|path| Rescan { path, repaired: rescan.repaired })
    }

    /// What is to be read again of what is inside.
    fn part_of(&self, path: Option<&RelativePath>) -> Option<RelativePath> {
        let path = path?;
        if self.holds(path) {
            return Some(path.clone());
        }
        let floors = self.0.iter().filter(|floor| floor.is_within(path)).cloned();
        floors.reduce(|a, b| a.common_ancestor(&b))
    }
}

impl Batch {
    /// Whoever gets it has to read this again, too.
    fn owe(&mut self, path: &RelativePath) {
        self.rescan = Some(Rescan::unrepaired(match &self.rescan {
            Some(rescan) if !rescan.repaired => rescan.path.common_ancestor(path),
            _ => path.clone(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("path")
    }

    fn change(kind: ChangeKind, to: &str, from: Option<&str>) -> Change {
        Change { kind, path: path(to), from: from.map(path), dir: true, version: None, origin: None }
    }

    /// What a scope of `docs` and `a/b` is told, as text.
    fn told(change: Change) -> (Vec<String>, Option<String>) {
        let scope = Scope::of(vec![path("docs"), path("a/b")]);
        let batch = Batch { changes: vec![change], ..Batch::default() };
        let Some(narrowed) = scope.narrow(&batch) else { return (Vec::new(), None) };
        let text = |change: &Change| format!("{:?} {}", change.kind, change.path);
        (narrowed.changes.iter().map(text).collect(), narrowed.rescan.map(|rescan| rescan.path.to_string()))
    }

    #[test]
    fn only_what_is_inside_is_told() {
        use ChangeKind::*;
        assert_eq!(told(change(Created, "docs/x", None)).0, ["Created docs/x"]);
        assert_eq!(told(change(Created, "doc", None)), (vec![], None));
        assert_eq!(told(change(Modified, "a/c", None)), (vec![], None));
        assert_eq!(told(change(Moved, "docs/y", Some("docs/x"))).0, ["Moved docs/y"]);
    }

    #[test]
    fn what_crosses_the_border_comes_or_goes_and_its_content_is_read_again() {
        use ChangeKind::*;
        assert_eq!(told(change(Moved, "docs/y", Some("x"))), (vec!["Created docs/y".into()], Some("docs/y".into())));
        assert_eq!(told(change(Moved, "x", Some("docs/y"))), (vec!["Deleted docs/y".into()], None));
        assert_eq!(told(change(Deleted, "a", None)), (vec!["Deleted a/b".into()], None));
        assert_eq!(told(change(Moved, "z", Some("a"))), (vec!["Deleted a/b".into()], None));
        assert_eq!(told(change(Moved, "a", Some("z"))), (vec![], Some("a/b".into())));
    }

    #[test]
    fn a_rescan_of_more_is_one_of_the_part() {
        let scope = Scope::of(vec![path("docs")]);
        let rescan = |text| {
            let batch = Batch { rescan: Some(Rescan::unrepaired(path(text))), ..Batch::default() };
            scope.narrow(&batch).and_then(|narrowed| narrowed.rescan).map(|rescan| rescan.path)
        };
        assert_eq!((rescan(""), rescan("docs/x"), rescan("src")), (Some(path("docs")), Some(path("docs/x")), None));
    }
}
