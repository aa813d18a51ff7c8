//! Bounds of files: reading and writing, sets, streams, uploads, archives, copies, the trash.

use std::time::Duration;

/// Longest workspace-relative path.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes that one read returns or one write takes; more goes as a stream.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest file whose version is a hash of its content.
pub const FILE_HASH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Deepest listing.
pub const LIST_DEPTH_MAX: usize = 16;
/// Entries of one page of a listing.
pub const LIST_ENTRIES_MAX: usize = 5000;
/// Bytes that are read of `/etc/passwd` and `/etc/group`; who is named beyond is a number.
pub const ACCOUNTS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Edits of one file in one call.
pub const EDITS_MAX: usize = 1000;
/// Longest diff of one file; the rest is left out, and the diff says so.
pub const DIFF_BYTES_MAX: usize = 256 * 1024;
/// Changes of one set that is applied as a whole.
pub const APPLY_CHANGES_MAX: usize = 10_000;
/// Bytes of all files of such a set, before and after; they are held in memory until the set is decided.
pub const APPLY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Uploads that can be resumed and are not complete; one more is `quota_exceeded`.
pub const UPLOADS_MAX: usize = 64;
/// Bytes of all of them, counted as large as they are going to be; more is `quota_exceeded`.
pub const UPLOADS_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Time after its last byte at which an upload that is not complete is removed.
pub const UPLOAD_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Complete uploads that can still be asked for, for clients that lost the answer; the oldest are forgotten.
pub const UPLOADS_COMPLETE_KEPT_MAX: usize = 256;
/// Time between two looks for what has become too old in the host's own folder.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(600);
/// Bytes of a file that comes as a stream.
pub const STREAM_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Sizes of a text that is compressed on its way: below there is nothing to gain, beyond it takes too much of a processor.
pub const STREAM_COMPRESSED_BYTES: std::ops::RangeInclusive<u64> = 1024..=64 * 1024 * 1024;
/// Bytes of a file that are read for one piece of an answer; the next one when the client has taken it.
pub const STREAM_PIECE_BYTES: usize = 256 * 1024;
/// Time in which no byte of a body comes; then it is given up.
pub const STREAM_IDLE_MAX: Duration = Duration::from_secs(60);
/// Archives that are made or unpacked at the same time; one more is `unavailable`.
pub const ARCHIVES_MAX: usize = 8;
/// Entries of an archive, out and in.
pub const ARCHIVE_ENTRIES_MAX: usize = 100_000;
/// Bytes between two contents of a `.tar.gz`: headers, names and attributes. More is refused.
pub const ARCHIVE_HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the list at the end of a `.zip`, which is read into memory. More is refused.
pub const ZIP_LIST_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes that an archive may become for each of its own; more is refused as a bomb.
pub const UNPACK_RATIO_MAX: u64 = 200;
/// Bytes that any archive may become, however small it is: what compresses well is not yet a bomb.
pub const UNPACK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Entries of a tree that is copied at once.
pub const COPY_ENTRIES_MAX: usize = 100_000;
/// Deepest tree that is copied.
pub const COPY_DEPTH_MAX: usize = 128;
/// Entries of the trash; the oldest beyond them are removed for good.
pub const TRASH_ENTRIES_MAX: usize = 1000;
/// Bytes of the trash on the disk, unless the host is started with another number; the oldest entries beyond them are removed for good,
/// but never the newest.
pub const TRASH_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// Age at which an entry of the trash is removed for good.
pub const TRASH_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
