use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::{hint::Hint, pending::Pending},
    *,
};

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("path")
}

/// A disk in memory, which counts up inode numbers and times.
#[derive(Default)]
struct Fake {
    entries: BTreeMap<RelativePath, Look>,
    clock: u64,
    entered: Vec<RelativePath>,
    /// What is entered and was not left.
    inside: BTreeSet<RelativePath>,
}

impl Disk for Fake {
    fn look(&self, path: &RelativePath) -> Option<Look> {
        self.entries.get(path).copied()
    }

    fn enter(&mut self, directory: &RelativePath) -> Vec<String> {
        self.entered.push(directory.clone());
        self.inside.insert(directory.clone());
        let children = self.entries.keys().filter(|path| path.parent().as_ref() == Some(directory));
        children.map(|path| path.name().to_owned()).collect()
    }

    fn leave(&mut self, directory: &RelativePath) {
        self.inside.remove(directory);
    }

    fn has_room(&mut self, _: usize, _: &RelativePath) -> bool {
        true
    }
}

impl Fake {
    fn make(&mut self, text: &str, dir: bool) -> Hint {
        self.clock += 1;
        let time = self.clock.cast_signed();
        let look = Look { dir, file: !dir, ino: self.clock, size: 0, mtime_ns: time, ctime_ns: time };
        self.entries.insert(path(text), look);
        Hint::Replaced(path(text))
    }

    fn modify(&mut self, text: &str) -> Hint {
        self.clock += 1;
        self.entries.get_mut(&path(text)).expect("exists").mtime_ns = self.clock.cast_signed();
        Hint::Touched(path(text))
    }

    fn delete(&mut self, text: &str) -> Hint {
        self.entries.retain(|entry, _| !entry.is_within(&path(text)));
        Hint::Replaced(path(text))
    }

    fn rename(&mut self, from: &str, to: &str) -> Hint {
        let (from, to) = (path(from), path(to));
        self.entries.retain(|entry, _| !entry.is_within(&to));
        let moved = self.entries.iter().filter_map(|(entry, look)| Some((entry.rebase(&from, &to)?, *look)));
        let moved: Vec<_> = moved.collect();
        self.entries.retain(|entry, _| !entry.is_within(&from));
        self.entries.extend(moved);
        Hint::Renamed { from, to }
    }
}

struct Case {
    disk: Fake,
    tree: Tree,
}

impl Case {
    /// A tree with `a`, `b` and `d/x`, all known.
    fn new() -> Self {
        let mut case = Self { disk: Fake::default(), tree: Tree::default() };
        for (name, dir) in [("a", false), ("b", false), ("d", true), ("d/x", false)] {
            case.disk.make(name, dir);
        }
        case.tree.learn(&mut case.disk);
        case.disk.entered.clear();
        case
    }

    /// The differences after all of the hints, as `kind path` or `moved from path`.
    fn batch(&mut self, hints: impl IntoIterator<Item = Hint>) -> Vec<String> {
        let mut pending = Pending::default();
        hints.into_iter().for_each(|hint| _ = pending.note(hint, std::time::Instant::now()));
        let found = self.tree.compare(&pending.take(), &mut self.disk);
        assert_eq!(self.tree.known, self.disk.entries, "what is known is what is there");
        found
            .iter()
            .map(|found| match &found.from {
                Some(from) => format!("Moved {from} {}", found.path),
                None => format!("{:?} {}", found.kind, found.path),
            })
            .collect()
    }
}

#[test]
fn created_and_deleted_is_nothing() {
    let mut case = Case::new();
    let hints = [case.disk.make("n", false), case.disk.delete("n")];
    assert!(case.batch(hints).is_empty());
}

#[test]
fn deleted_and_created_is_modified() {
    let mut case = Case::new();
    let hints = [case.disk.delete("a"), case.disk.make("a", false)];
    assert_eq!(case.batch(hints), ["Modified a"]);
}

#[test]
fn created_and_modified_is_created() {
    let mut case = Case::new();
    let hints = [case.disk.make("n", false), case.disk.modify("n")];
    assert_eq!(case.batch(hints), ["Created n"]);
}

#[test]
fn a_hint_without_a_difference_is_nothing() {
    let mut case = Case::new();
    assert!(case.batch([Hint::Touched(path("a")), Hint::Touched(path("gone"))]).is_empty());
}

#[test]
fn a_deleted_directory_is_one_change_also_when_hints_are_missing() {
    for lost in [false, true] {
        let mut case = Case::new();
        let hints = [case.disk.delete("d/x"), case.disk.delete("d")];
        let lost_hints = [Hint::Lost(path("d"))];
        let changes = if lost { case.batch(lost_hints) } else { case.batch(hints) };
        assert_eq!(changes, ["Deleted d"]);
    }
}

#[test]
fn a_new_directory_is_entered_and_its_content_told_without_hints() {
    let mut case = Case::new();
    let hint = case.disk.make("n", true);
    case.disk.make("n/m", true);
    case.disk.make("n/m/x", false);
    assert_eq!(case.batch([hint]), ["Created n", "Created n/m", "Created n/m/x"]);
    assert_eq!(case.disk.entered, [path("n"), path("n/m")]);
}

#[test]
fn renames_are_moves_and_a_moved_directory_is_entered_again() {
    let mut case = Case::new();
    let hints = [case.disk.rename("a", "c"), case.disk.rename("d", "e")];
    assert_eq!(case.batch(hints), ["Moved a c", "Moved d e"]);
    assert_eq!(case.disk.entered, [path("e")]);
}

#[test]
fn a_move_onto_a_file_is_one_move_and_a_moved_file_can_be_modified_too() {
    let mut case = Case::new();
    let hints = [case.disk.rename("a", "b"), case.disk.modify("b")];
    assert_eq!(case.batch(hints), ["Moved a b", "Modified b"]);
}

#[test]
fn a_file_that_was_made_under_another_name_replaces_as_one_modification() {
    let mut case = Case::new();
    let hints = [case.disk.make("a.new", false), case.disk.rename("a.new", "a")];
    assert_eq!(case.batch(hints), ["Modified a"]);
}

#[test]
fn a_new_file_at_the_old_name_of_a_move_is_created() {
    let mut case = Case::new();
    let hints = [case.disk.rename("a", "c"), case.disk.make("a", false)];
    assert_eq!(case.batch(hints), ["Moved a c", "Created a"]);
}

#[test]
fn what_was_missed_is_found_by_looking_at_everything() {
    let mut case = Case::new();
    case.disk.delete("a");
    case.disk.modify("b");
    case.disk.make("d/y", false);
    assert_eq!(case.batch([Hint::Lost(RelativePath::root())]), ["Deleted a", "Modified b", "Created d/y"]);
}

#[test]
fn a_file_that_becomes_a_directory_is_deleted_and_created() {
    let mut case = Case::new();
    let hints = [case.disk.delete("a"), case.disk.make("a", true)];
    assert_eq!(case.batch(hints), ["Deleted a", "Created a"]);
}

#[derive(Debug, Clone)]
enum Step {
    Make(String, bool),
    Modify(String),
    Delete(String),
    Rename(String, String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = "[ab](/[ab]){0,2}";
    let step = prop_oneof![
        (name, any::<bool>()).prop_map(|(name, dir)| Step::Make(name, dir)),
        name.prop_map(Step::Modify),
        name.prop_map(Step::Delete),
        (name, name).prop_map(|(from, to)| Step::Rename(from, to)),
    ];
    prop::collection::vec(step, 0..12)
}

/// Does what a real disk would allow, and hints as the kernel would.
fn apply(disk: &mut Fake, step: &Step) -> Option<Hint> {
    let is_dir = |disk: &Fake, path: &RelativePath| path.is_root() || disk.look(path).is_some_and(|look| look.dir);
    let has_parent = |disk: &Fake, text: &str| path(text).parent().is_some_and(|parent| is_dir(disk, &parent));
    match step {
        Step::Make(name, dir) if has_parent(disk, name) && disk.look(&path(name)).is_none() => {
            Some(disk.make(name, *dir))
        }
        Step::Modify(name) if disk.look(&path(name)).is_some_and(|look| !look.dir) => Some(disk.modify(name)),
        Step::Delete(name) if disk.look(&path(name)).is_some() => Some(disk.delete(name)),
        Step::Rename(from, to)
            if disk.look(&path(from)).is_some()
                && has_parent(disk, to)
                && !path(to).is_within(&path(from))
                && !path(from).is_within(&path(to)) =>
        {
            Some(disk.rename(from, to))
        }
        _ => None,
    }
}

proptest! {
    /// The promise of batches: a client that applies them has the paths that are there, wherever one batch ends and the next
    /// begins, whatever hints were lost in between if that is known, and for what is only polled.
    #[test]
    fn applying_the_changes_to_the_old_tree_gives_the_new_one(
        before in steps(),
        after in steps(),
        cuts in prop::collection::vec(any::<bool>(), 12),
        way in 0..3,
    ) {
        let mut disk = Fake::default();
        before.iter().for_each(|step| drop(apply(&mut disk, step)));
        let mut tree = Tree::default();
        tree.learn(&mut disk);
        let mut mirror: BTreeSet<RelativePath> = disk.entries.keys().cloned().collect();

        let mut pending = Pending::default();
        let mut found = Vec::new();
        for (step, cut) in after.iter().zip(cuts) {
            let Some(hint) = apply(&mut disk, step) else { continue };
            if way == 0 {
                pending.note(hint, std::time::Instant::now());
            }
            if cut {
                found.extend(tree.compare(&pending.take(), &mut disk));
            }
        }
        let everything = disk.inside.clone();
        let last = match way {
            0 => pending.take(),
            1 => Work { lost: Some(RelativePath::root()), ..Work::default() },
            _ => Work { polled: everything, ..Work::default() },
        };
        found.extend(tree.compare(&last, &mut disk));
        for found in found {
            match (found.kind, found.from) {
                (ChangeKind::Created, _) => prop_assert!(mirror.insert(found.path)),
                (ChangeKind::Modified, _) => prop_assert!(mirror.contains(&found.path)),
                (ChangeKind::Deleted, _) => mirror.retain(|path| !path.is_within(&found.path)),
                (ChangeKind::Moved, from) => {
                    let from = from.expect("a move has an old path");
                    let moved: Vec<_> = mirror.iter().filter_map(|path| path.rebase(&from, &found.path)).collect();
                    mirror.retain(|path| !path.is_within(&from) && !path.is_within(&found.path));
                    mirror.extend(moved);
                }
            }
        }
        prop_assert_eq!(&tree.known, &disk.entries);
        let mut directories: BTreeSet<_> = disk.entries.iter().filter(|(_, look)| look.dir).map(|(path, _)| path.clone()).collect();
        directories.insert(RelativePath::root());
        prop_assert_eq!(&disk.inside, &directories, "every directory is watched, and nothing that is gone");
        prop_assert_eq!(mirror, disk.entries.keys().cloned().collect::<BTreeSet<_>>());
    }
}
