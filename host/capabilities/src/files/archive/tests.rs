use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use midplane_model::limits::{ARCHIVE_ENTRIES_MAX, ARCHIVE_HEADER_BYTES_MAX, UNPACK_BYTES_MIN};
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Root,
        path::RelativePath,
        tests::{Case, code, rel},
    },
    *,
};

/// An entry as no archiver would make it: name, kind, target of a link, content.
type Entry<'a> = (&'a [u8], EntryType, &'a [u8], &'a [u8]);

fn header(kind: EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size as u64);
    header
}

fn tar_gz(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, target, content) in entries {
        let mut header = header(*kind, content.len());
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        tar.append(&header, *content).expect("append");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("tar")
}

/// A zip byte by byte (APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.16): name, Unix mode, content, stored.
fn zip(entries: &[(&[u8], u32, &[u8])], flags: u16) -> Vec<u8> {
    let (mut out, mut list) = (Vec::new(), Vec::new());
    for (name, mode, content) in entries {
        let at = u32::try_from(out.len()).expect("small");
        let (length, name_length) =
            (u32::try_from(content.len()).expect("small"), u16::try_from(name.len()).expect("short"));
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut common = Vec::new();
        for short in [20, flags, 0, 0, 0x5c21] {
            common.extend(u16::to_le_bytes(short));
        }
        for long in [crc.sum(), length, length] {
            common.extend(long.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(*name);
        out.extend(*content);
        // Made by version 2.0 on Unix, so that the mode counts.
        list.extend(b"PK\x01\x02\x14\x03");
        list.extend(&common);
        list.extend([0; 6]);
        list.extend((mode << 16).to_le_bytes());
        list.extend(at.to_le_bytes());
        list.extend(*name);
    }
    let (count, at) = (u16::try_from(entries.len()).expect("few"), u32::try_from(out.len()).expect("small"));
    let size = u32::try_from(list.len()).expect("small");
    out.extend(&list);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

async fn unpack(case: &Case, archive: &[u8], to: &str, overwrite: bool) -> Result<Unpacked, FilesError> {
    fs::write(case.at("archive"), archive).expect("write");
    let options = UnpackOptions { overwrite, ..UnpackOptions::default() };
    case.root.unpack(&rel("archive"), &case.root, &rel(to), options).await
}

/// Nothing has come of it, here or outside.
fn is_untouched(case: &Case) {
    let left = fs::read_dir(case.at(".midplane/staging")).map_or(0, Iterator::count);
    assert_eq!((case.at("to").exists(), left), (false, 0));
    let outside = case.at("").parent().expect("parent").to_owned();
    let mut names: Vec<_> = fs::read_dir(&outside).expect("read").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["root", "secret"]);
    assert_eq!(fs::read_to_string(outside.join("secret")).expect("read"), "secret");
}

async fn packed(root: &Root, path: &str, format: ArchiveFormat) -> Result<Vec<u8>, FilesError> {
    let path = if path.is_empty() { RelativePath::root() } else { rel(path) };
    let mut packing = root.pack(&path, format).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = packing.next().await {
        bytes.extend(piece?);
    }
    Ok(bytes)
}

/// Names, modes, whole times and contents of a tree.
fn seen(folder: &Path, found: &mut Vec<(Vec<u8>, u32, i64, Vec<u8>)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("read").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let facts = path.symlink_metadata().expect("metadata");
        let name = path.file_name().expect("name").as_bytes().to_vec();
        let (mode, time) = (facts.mode(), facts.mtime() / 2);
        match facts.file_type() {
            kind if kind.is_symlink() => {
                found.push((name, 0, 0, fs::read_link(&path).expect("link").as_os_str().as_bytes().to_vec()));
            }
            kind if kind.is_dir() => {
                found.push((name, mode, time, Vec::new()));
                seen(&path, found);
            }
            _ => found.push((name, mode, time, fs::read(&path).expect("read"))),
        }
    }
}

#[tokio::test]
async fn a_tree_comes_back_as_it_was() {
    for case in Case::both() {
        let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::create_dir_all(case.at("tree/a/empty")).expect("mkdir");
        let long = "x".repeat(200);
        for (name, content) in
            [("run", "#!/bin/sh\n"), ("a/\u{fc} b\n", "text"), (&long, ""), ("a/zeros", &"\0".repeat(70_000))]
        {
            fs::write(case.at("tree").join(name), content).expect("write");
            fs::File::options()
                .append(true)
                .open(case.at("tree").join(name))
                .expect("open")
                .set_modified(old)
                .expect("time");
        }
        fs::set_permissions(case.at("tree/run"), fs::Permissions::from_mode(0o755)).expect("mode");
        fs::set_permissions(case.at("tree/a/zeros"), fs::Permissions::from_mode(0o440)).expect("mode");
        symlink("a/zeros", case.at("tree/link")).expect("symlink");
        fs::File::open(case.at("tree/a")).expect("open").set_modified(old).expect("time");
        let mut before = Vec::new();
        seen(&case.at("tree"), &mut before);
        for (format, to) in [(ArchiveFormat::TarGz, "tar"), (ArchiveFormat::Zip, "zip")] {
            let archive = packed(&case.root, "tree", format).await.expect("pack");
            let done = unpack(&case, &archive, to, false).await.expect("unpack");
            assert_eq!(done, Unpacked { files: 4, directories: 3, links: 1, bytes: 70_014 });
            let mut after = Vec::new();
            seen(&case.at(&format!("{to}/tree")), &mut after);
            assert_eq!(after, before, "{to}");
        }
        // The whole directory, without what is the host's own.
        let archive = packed(&case.root, "", ArchiveFormat::TarGz).await.expect("pack");
        let mut names = Vec::new();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&archive[..]));
        for entry in tar.entries().expect("entries") {
            names.push(entry.expect("entry").path_bytes().into_owned());
        }
        assert!(names.contains(&b"tree/run".to_vec()) && !names.iter().any(|name| name.starts_with(b".midplane")));
        assert_eq!(code(packed(&case.root, "none", ArchiveFormat::Zip).await), "not_found");
        symlink("../secret", case.at("out")).expect("symlink");
        assert_eq!(code(packed(&case.root, "out", ArchiveFormat::Zip).await), "outside_root");
    }
}

#[tokio::test]
async fn what_leads_elsewhere_is_refused_whole() {
    use EntryType as T;
    let good: Entry<'_> = (b"good", T::Regular, b"", b"good");
    for case in Case::both() {
        let secret = case.at("").parent().expect("parent").join("secret");
        let secret = secret.as_os_str().as_bytes();
        for entries in [
            &[(&b"../secret"[..], T::Regular, &b""[..], &b"stolen"[..])][..],
            &[(b"a/../../secret", T::Regular, b"", b"stolen")],
            &[(secret, T::Regular, b"", b"stolen")],
            &[(b".midplane/x", T::Regular, b"", b"stolen")],
            &[(b"a\\..\\b", T::Regular, b"", b"stolen")],
            &[(b"l", T::Symlink, b"../../secret", b"")],
            &[(b"l", T::Symlink, secret, b"")],
            &[(b"l", T::Symlink, b"", b"")],
            // A link, and then something through it.
            &[(b"d/", T::Directory, b"", b""), (b"l", T::Symlink, b"d", b""), (b"l/x", T::Regular, b"", b"stolen")],
            &[(b"l", T::Symlink, b"x", b""), (b"l", T::Regular, b"", b"stolen")],
            &[(b"d/up", T::Symlink, b"..", b""), (b"l", T::Symlink, b"d/up/../x", b"")],
            &[(b"l", T::Link, b"../secret", b"")],
            &[(b"l", T::Link, secret, b"")],
            &[(b"s", T::Symlink, b"x", b""), (b"l", T::Link, b"s", b"")],
            &[(b"twice", T::Regular, b"", b"1"), (b"./twice", T::Regular, b"", b"2")],
            &[(b"f", T::Regular, b"", b"1"), (b"f/x", T::Regular, b"", b"2")],
            &[(b"f", T::Regular, b"", b"1"), (b"f/", T::Directory, b"", b"")],
            &[(b"pipe", T::Fifo, b"", b"")],
            &[(b"device", T::Char, b"", b"")],
            &[(b"device", T::Block, b"", b"")],
            &[(b"./", T::Regular, b"", b"nameless")],
        ] {
            let archive = tar_gz(&[&[good], entries].concat());
            let names: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(entry.0)).collect();
            assert_eq!(code(unpack(&case, &archive, "to", true).await), "invalid_params", "{names:?}");
            is_untouched(&case);
        }
        let (file, link) = (0o100_644, 0o120_777);
        for entries in [
            &[(&b"../secret"[..], file, &b"stolen"[..])][..],
            &[(secret, file, b"stolen")],
            &[(b"l", link, b"../../secret")],
            &[(b"l", link, secret)],
            &[(b"d/x", file, b"1"), (b"l", link, b"d"), (b"l/x", file, b"stolen")],
            &[(b"twice", file, b"1"), (b"twice", file, b"2")],
            &[(b"pipe", 0o010_644, b"")],
            &[(b"device", 0o020_644, b"")],
            &[(b"a\\..\\b", file, b"stolen")],
        ] {
            let archive = zip(&[&[(&b"good"[..], file, &b"good"[..])], entries].concat(), 0);
            let names: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(entry.0)).collect();
            assert_eq!(code(unpack(&case, &archive, "to", true).await), "invalid_params", "{names:?}");
            is_untouched(&case);
        }
        let honest = zip(&[(b"a/b", file, b"text"), (b"a/l", link, b"b")], 0);
        let done = unpack(&case, &honest, "honest", false).await.expect("unpack");
        assert_eq!((done.files, done.links, fs::read(case.at("honest/a/l")).expect("read")), (1, 1, b"text".to_vec()));
    }
}

#[tokio::test]
async fn what_is_damaged_or_not_to_be_read_is_refused_whole() {
    let [case, _] = Case::both();
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = tar_gz(&[(b"a", EntryType::Regular, b"", &content)]);
    let zipped = zip(&[(b"a", 0o100_644, &content)], 0);
    let mut changed = zipped.clone();
    changed[1000] ^= 1;
    let mut sum = tar.clone();
    let end = sum.len();
    sum[end - 6] ^= 1;
    let encrypted = zip(&[(b"a", 0o100_644, &content)], 1);
    for (what, archive) in [
        ("cut", &tar[..tar.len() / 2]),
        ("cut", &zipped[..zipped.len() / 2]),
        ("changed", &changed),
        ("checksum", &sum),
        ("encrypted", &encrypted),
        ("text", b"just text"),
        ("empty", b""),
    ] {
        assert_eq!(code(unpack(&case, archive, "to", false).await), "invalid_params", "{what}");
        is_untouched(&case);
    }
}

#[tokio::test]
async fn bombs_are_refused_before_they_go_off() {
    let [case, _] = Case::both();
    let zeros = std::io::repeat(0).take(UNPACK_BYTES_MIN + 1);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut large = header(EntryType::Regular, usize::try_from(UNPACK_BYTES_MIN + 1).expect("size"));
    tar.append_data(&mut large, "zeros", zeros).expect("append");
    let bomb = tar.into_inner().and_then(GzEncoder::finish).expect("tar");
    assert_eq!(code(unpack(&case, &bomb, "to", false).await), "too_large");
    is_untouched(&case);

    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("zeros", ::zip::write::SimpleFileOptions::default()).expect("start");
    std::io::copy(&mut std::io::repeat(0).take(UNPACK_BYTES_MIN + 1), &mut zip).expect("copy");
    let bomb = zip.finish().expect("zip").into_inner();
    assert_eq!(code(unpack(&case, &bomb, "to", false).await), "too_large");
    is_untouched(&case);

    // Names of many megabytes, which a reader keeps in memory.
    let name = vec![b'x'; usize::try_from(ARCHIVE_HEADER_BYTES_MAX).expect("size") + 1];
    let long = tar_gz(&[(b"././@LongLink", EntryType::GNULongName, b"", &name), (b"a", EntryType::Regular, b"", b"")]);
    assert_eq!(code(unpack(&case, &long, "to", false).await), "invalid_params");
    is_untouched(&case);

    let mut many = GzEncoder::new(Vec::new(), Compression::fast());
    for n in 0..=ARCHIVE_ENTRIES_MAX {
        let mut header = header(EntryType::Directory, 0);
        let name = format!("{}", n % 10);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        many.write_all(header.as_bytes()).expect("write");
    }
    let many = many.finish().expect("gzip");
    assert_eq!(code(unpack(&case, &many, "to", false).await), "too_large");
    is_untouched(&case);
}

#[tokio::test]
async fn a_tree_comes_into_a_directory_that_is_there_whole_or_not_at_all() {
    let [case, _] = Case::both();
    use EntryType as T;
    let archive = tar_gz(&[
        (b"d/new", T::Regular, b"", b"new"),
        (b"d/old", T::Regular, b"", b"newer"),
        (b"other/x", T::Regular, b"", b"x"),
        (b"second", T::Link, b"other/x", b""),
    ]);
    fs::create_dir_all(case.at("to/d")).expect("mkdir");
    fs::write(case.at("to/d/old"), "old").expect("write");
    fs::write(case.at("to/d/mine"), "mine").expect("write");
    let there = || {
        let mut found = Vec::new();
        seen(&case.at("to"), &mut found);
        found.into_iter().map(|(name, ..)| String::from_utf8(name).expect("UTF-8")).collect::<Vec<_>>()
    };
    assert_eq!(code(unpack(&case, &archive, "to", false).await), "already_exists");
    assert_eq!(
        (there(), fs::read(case.at("to/d/old")).expect("read")),
        (vec!["d".into(), "mine".into(), "old".into()], b"old".to_vec())
    );
    unpack(&case, &archive, "to", true).await.expect("unpack");
    assert_eq!(there(), ["d", "mine", "new", "old", "other", "x", "second"]);
    assert_eq!(fs::read(case.at("to/d/old")).expect("read"), b"newer");
    assert_eq!(fs::metadata(case.at("to/second")).expect("metadata").nlink(), 2);

    // A file where the archive has a directory stays, whatever is asked.
    fs::create_dir(case.at("file")).expect("mkdir");
    fs::write(case.at("file/d"), "mine").expect("write");
    assert_eq!(code(unpack(&case, &archive, "file", true).await), "already_exists");
    assert_eq!(code(unpack(&case, &archive, "archive", true).await), "conflict");
    assert_eq!(code(unpack(&case, &archive, "none/below", true).await), "not_found");
    unpack(&case, &archive, ".", false).await.expect("the root is a directory, too");
    assert!(case.at("d/new").exists());
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_and_who_does_not_read_holds_only_his_own_up() {
    let [case, _] = Case::both();
    fs::write(case.at("archive"), tar_gz(&[(b"a", EntryType::Regular, b"", b"x")])).expect("write");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let options = UnpackOptions { cancel, ..UnpackOptions::default() };
    assert_eq!(code(case.root.unpack(&rel("archive"), &case.root, &rel("to"), options).await), "cancelled");
    is_untouched(&case);

    // Nothing that compresses (SplitMix64): what fits into the queue holds nobody up.
    let mixed = |n: u64| (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let noise: Vec<u8> =
        (1..=4_000_000_u64).map(|n| (mixed(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 56) as u8).collect();
    fs::write(case.at("noise"), noise).expect("write");
    let mut waiting = Vec::new();
    for _ in 0..ARCHIVES_MAX {
        waiting.push(case.root.pack(&rel("noise"), ArchiveFormat::TarGz).await.expect("pack"));
    }
    assert_eq!(code(case.root.pack(&rel("noise"), ArchiveFormat::TarGz).await.map(drop)), "unavailable");
    drop(waiting);
    // Their threads end when they notice.
    while let Err(error) = case.root.pack(&rel("noise"), ArchiveFormat::Zip).await {
        assert!(matches!(error, FilesError::TooManyArchives), "{error}");
        tokio::task::yield_now().await;
    }
}
