//! The version that somebody believes to move or to delete.

use rustix::{fs::OFlags, io::Errno};

use super::{
    error::{FilesError, shown},
    jail::regular,
    version::Version,
    walk::Place,
};

/// Insists on a file of this version. What is no file has none: a directory, or a link itself.
///
/// # Errors
/// `precondition_failed` with the version that there is.
pub(super) fn insist(place: &Place, wanted: Option<&Version>) -> Result<(), FilesError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let current = match place.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).and_then(regular) {
        Ok((file, facts)) => {
            let read = Version::of_file(&file, &facts);
            Some(read.map_err(|error| FilesError::from_io("read", &place.path, error))?.0)
        }
        Err(Errno::NOENT | Errno::ISDIR | Errno::LOOP | Errno::NXIO) => None,
        Err(errno) => return Err(FilesError::from_errno("read", &place.path, errno)),
    };
    match current.as_ref() == Some(wanted) {
        true => Ok(()),
        false => Err(FilesError::Stale { path: shown(&place.path), current }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{
        DeleteOptions, RenameOptions,
        tests::{Case, code, rel},
    };

    #[tokio::test]
    async fn only_the_version_that_is_meant_is_moved_or_deleted() {
        for case in Case::both() {
            fs::write(case.at("a"), "old").expect("write");
            let old = case.root.stat(&rel("a")).await.expect("stat").version;
            fs::write(case.at("a"), "new").expect("write");
            let new = case.root.stat(&rel("a")).await.expect("stat").version;
            let delete =
                |if_version: &Option<_>| DeleteOptions { if_version: if_version.clone(), ..Default::default() };
            let rename =
                |if_version: &Option<_>| RenameOptions { if_version: if_version.clone(), ..Default::default() };
            assert_eq!(code(case.root.delete(&rel("a"), delete(&old)).await), "precondition_failed");
            assert_eq!(code(case.root.trash(&rel("a"), delete(&old)).await), "precondition_failed");
            assert_eq!(code(case.root.rename(&rel("a"), &rel("b"), rename(&old)).await), "precondition_failed");
            assert_eq!(fs::read(case.at("a")).expect("read"), b"new");
            case.root.rename(&rel("a"), &rel("b"), rename(&new)).await.expect("rename");
            case.root.trash(&rel("b"), delete(&new)).await.expect("trash");
            fs::create_dir(case.at("d")).expect("mkdir");
            assert_eq!(code(case.root.delete(&rel("d"), delete(&new)).await), "precondition_failed");
            assert_eq!(code(case.root.delete(&rel("none"), delete(&new)).await), "precondition_failed");
        }
    }
}
