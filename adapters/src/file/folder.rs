//! What is in a folder.

use std::os::fd::OwnedFd;
use std::path::Path;

use glob::{MatchOptions, Pattern};
use impresario_adapter::Failure;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::arguments::{LIST_LIMIT_MAX, List};
use super::failure;
use super::place::{Roots, open_folder};
use super::transfer::modified_ms;

/// How many entries of a folder are looked at. A folder with more is not one to be listed at every interval.
const ENTRIES_MAX: usize = 100_000;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
}

impl Entry {
    pub(super) fn modified_ms(&self) -> i64 {
        modified_ms(self.seconds, self.nanoseconds)
    }
}

/// A pattern of names: `*`, `?`, `[a-z]`. Hidden files need a dot of their own.
pub(super) fn pattern(pattern: &str) -> Result<Pattern, Failure> {
    if pattern.contains('/') || pattern.contains("**") {
        return Err(Failure::validation("the pattern is not valid")
            .with_detail(format!("expected a pattern of names, found `{pattern}`")));
    }
    Pattern::new(pattern)
        .map_err(|error| Failure::validation("the pattern is not valid").with_detail(error.to_string()))
}

pub(super) fn list(roots: &Roots, arguments: List) -> Result<Value, Failure> {
    let List { folder, root, pattern: names, limit } = arguments;
    if limit > LIST_LIMIT_MAX {
        return Err(Failure::validation("the limit is too high")
            .with_detail(format!("expected at most {LIST_LIMIT_MAX} files, found {limit}")));
    }
    let (folder, path) = open_folder(roots, root.as_deref(), &folder)?;
    let mut entries = scan(&folder, &path, &pattern(&names)?)?;
    let truncated = entries.len() > limit;
    entries.truncate(limit);
    let files: Vec<Value> = entries.iter().map(|entry| describe(&path, entry)).collect();
    Ok(json!({"files": files, "truncated": truncated}))
}

pub(super) fn describe(folder: &Path, entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "path": folder.join(&entry.name),
        "kind": entry.kind,
        "size": entry.size,
        "modifiedMs": entry.modified_ms(),
    })
}

/// What suits the pattern, sorted by name. A name that is not UTF-8 cannot be told and is left out.
pub(super) fn scan(folder: &OwnedFd, path: &Path, pattern: &Pattern) -> Result<Vec<Entry>, Failure> {
    let what = || format!("listing {}", path.display());
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let mut entries = Vec::new();
    for (seen, entry) in Dir::read_from(folder).map_err(|error| failure(&what(), error))?.enumerate() {
        let entry = entry.map_err(|error| failure(&what(), error))?;
        if seen > ENTRIES_MAX {
            return Err(Failure::runtime(format!("{} failed", what()))
                .with_detail(format!("expected at most {ENTRIES_MAX} entries, found more")));
        }
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." || !pattern.matches_with(name, options) {
            continue;
        }
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => entries.push(Entry {
                name: name.to_owned(),
                kind: kind(FileType::from_raw_mode(status.st_mode)),
                inode: status.st_ino,
                size: u64::try_from(status.st_size).unwrap_or(0),
                seconds: status.st_mtime,
                nanoseconds: i64::try_from(status.st_mtime_nsec).unwrap_or(0),
            }),
            // It went between the two looks.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failure(&what(), error)),
        }
    }
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "link",
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => "other",
    }
}
