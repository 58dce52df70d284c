//! The monitor `file-follow`: the new lines of a file that grows, such as a log.
//!
//! The cursor is the inode of the file and the place in it. A file of another inode under the same name means that it
//! was rotated: the rest of the old one is read first, if it still is in the same folder. A file that is shorter than the
//! place was emptied, and is read from its beginning. A line is told once its line feed is there, or once nothing can
//! come after it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use glob::Pattern;
use impresario_adapter::{Failure, WatchContext};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::{Follow, Initial};
use super::folder::scan;
use super::place::{Place, Roots, open_file};
use super::{blocking, failure};

/// A line beyond this is cut.
const LINE_MAX: usize = 64 * 1024;
/// How much is read at once: as many lines as are told before the next look.
const READ_MAX: usize = 1024 * 1024;

/// Where to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// How often the file was rotated or emptied.
    turn: u64,
    /// Zero while there is no file.
    inode: u64,
    offset: u64,
}

struct Line {
    text: String,
    cut: bool,
    at: Cursor,
    /// Where the line after it begins.
    next: Cursor,
}

/// What one look found.
struct Found {
    path: PathBuf,
    lines: Vec<Line>,
    /// Where to go on, after all of them.
    next: Cursor,
    /// Whether there may be more to be read at once.
    more: bool,
}

pub(super) async fn follow(
    mut context: WatchContext,
    roots: Roots,
    arguments: Follow,
    cursor: Option<Value>,
) -> Result<(), Failure> {
    let mut cursor: Cursor = match cursor {
        Some(cursor) => serde_json::from_value(cursor).map_err(|error| {
            Failure::configuration("the cursor is not one of `file-follow`").with_detail(error.to_string())
        })?,
        None => {
            let begin = match arguments.initial {
                Initial::Tell => Cursor::default(),
                Initial::Skip => {
                    let (roots, arguments) = (roots.clone(), arguments.clone());
                    blocking(move || end(&roots, &arguments)).await?
                }
            };
            context.cursor(json!(begin)).await?;
            begin
        }
    };
    loop {
        let found = {
            let (roots, arguments) = (roots.clone(), arguments.clone());
            blocking(move || look(&roots, &arguments, cursor)).await?
        };
        for line in &found.lines {
            context.event(event(&found.path, line), Some(json!(line.next))).await?;
        }
        let told = found.lines.last().map_or(cursor, |line| line.next);
        if told != found.next {
            context.cursor(json!(found.next)).await?;
        }
        cursor = found.next;
        if !found.more {
            tokio::time::sleep(arguments.interval).await;
        }
    }
}

fn open(roots: &Roots, arguments: &Follow) -> Result<Option<(File, PathBuf)>, Failure> {
    match open_file(roots, arguments.root.as_deref(), &arguments.path, OFlags::RDONLY, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        // A log that is not there yet, or not there again yet.
        Err(failure) if failure.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Where the file ends: the end of its last whole line.
fn end(roots: &Roots, arguments: &Follow) -> Result<Cursor, Failure> {
    let Some((mut file, path)) = open(roots, arguments)? else { return Ok(Cursor::default()) };
    let failed = |error| failure(&format!("reading {}", path.display()), error);
    let status = file.metadata().map_err(failed)?;
    // A last line without its line feed is told when it has one.
    let from = status.size().saturating_sub(LINE_MAX as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    file.take(LINE_MAX as u64).read_to_end(&mut tail).map_err(failed)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(Cursor { turn: 0, inode: status.ino(), offset: from + whole as u64 })
}

fn look(roots: &Roots, arguments: &Follow, cursor: Cursor) -> Result<Found, Failure> {
    let path = PathBuf::from(&arguments.path);
    let Some((file, path)) = open(roots, arguments)? else {
        return missing(roots, arguments, path, cursor);
    };
    let status = file.metadata().map_err(|error| failure(&format!("reading {}", path.display()), error))?;
    let (inode, turn) = (status.ino(), cursor.turn + 1);
    if cursor.inode == inode && status.size() >= cursor.offset {
        return lines(file, path, cursor, false);
    }
    if cursor.inode != inode
        && cursor.inode != 0
        && let Some(old) = rotated(roots, arguments, cursor.inode)?
    {
        // Whoever writes may still have the old one open, and be about to change over: until there is something in the
        // new one, something may come in the old one.
        let is_over = status.size() > 0;
        let mut found = lines(old, path, cursor, is_over)?;
        if is_over && !found.more {
            (found.next, found.more) = (Cursor { turn, inode, offset: 0 }, true);
        }
        return Ok(found);
    }
    let turn = if cursor.inode == 0 { cursor.turn } else { turn };
    lines(file, path, Cursor { turn, inode, offset: 0 }, false)
}

/// There is no file of that name. The old one may lie beside it and still be written to; if it is gone for good, so is
/// its inode, which the next file may get.
fn missing(roots: &Roots, arguments: &Follow, path: PathBuf, cursor: Cursor) -> Result<Found, Failure> {
    if cursor.inode != 0 {
        if let Some(old) = rotated(roots, arguments, cursor.inode)? {
            return lines(old, path, cursor, false);
        }
        let next = Cursor { turn: cursor.turn + 1, inode: 0, offset: 0 };
        return Ok(Found { path, lines: Vec::new(), next, more: false });
    }
    Ok(Found { path, lines: Vec::new(), next: cursor, more: false })
}

/// The file that had this name before, found by its inode in the same folder.
fn rotated(roots: &Roots, arguments: &Follow, inode: u64) -> Result<Option<File>, Failure> {
    let place = Place::find(roots, arguments.root.as_deref(), &arguments.path)?;
    let prefix = format!("{}*", Pattern::escape(&place.name.to_string_lossy()));
    let Ok(pattern) = Pattern::new(&prefix) else { return Ok(None) };
    let parent = place.path.parent().map(PathBuf::from).unwrap_or_default();
    let entries = scan(&place.folder, &parent, &pattern)?;
    let Some(entry) = entries.into_iter().find(|entry| entry.inode == inode && entry.kind == "file") else {
        return Ok(None);
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // It may have gone meanwhile: compressed, for instance.
    let file = rustix::fs::openat(&place.folder, &entry.name, flags, Mode::empty()).ok().map(File::from);
    Ok(file.filter(|file| file.metadata().is_ok_and(|status| status.ino() == inode)))
}

/// The lines from the cursor on. `last` says that nothing more will be written.
fn lines(mut file: File, path: PathBuf, cursor: Cursor, last: bool) -> Result<Found, Failure> {
    let failed = |error| failure(&format!("reading {}", path.display()), error);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(cursor.offset)).map_err(failed)?;
    file.take(READ_MAX as u64).read_to_end(&mut bytes).map_err(failed)?;
    let more = bytes.len() == READ_MAX;
    let (mut lines, mut at) = (Vec::new(), cursor);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let feed = rest.iter().position(|byte| *byte == b'\n');
        let (line, used) = match feed {
            Some(end) => (&rest[..end], end + 1),
            // One that fills all that is read at once will not get shorter.
            None if last && !more || rest.len() == READ_MAX => (rest, rest.len()),
            None => break,
        };
        let kept = line.strip_suffix(b"\r").unwrap_or(line);
        let kept = &kept[..kept.len().min(LINE_MAX)];
        let next = Cursor { offset: at.offset + used as u64, ..at };
        let text = String::from_utf8_lossy(kept).into_owned();
        lines.push(Line { text, cut: line.len() > LINE_MAX, at, next });
        (at, rest) = (next, &rest[used..]);
    }
    Ok(Found { path, lines, next: at, more })
}

fn event(path: &std::path::Path, line: &Line) -> Value {
    let Cursor { turn, inode, offset } = line.at;
    let mut data = json!({"path": path, "line": line.text, "offset": offset});
    if line.cut {
        data["truncated"] = true.into();
    }
    json!({
        "specversion": "1.0",
        // An inode is used again once its file is gone, but hardly for the same line at the same place.
        "id": format!("{turn}:{inode}:{offset}:{:016x}", fnv(line.text.as_bytes())),
        "source": format!("/impresario/file{}", path.display()).replace(' ', "%20"),
        "type": "impresario.file.line",
        "data": data,
    })
}

/// FNV-1a: the same on every machine and in every version.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
