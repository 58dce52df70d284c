//! The data folder: its format file, its lock, and where everything is in it.
//!
//! ```text
//! FORMAT      format, shards and salt, as text; named last when the folder is made
//! LOCK        held by the one process that has the store open; its pid inside
//! log/        the segments of the mailbox log
//! state.db    rows, marks, owners and settings
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::port::Result;

/// The newest format of a data folder that this program knows.
const FORMAT: u32 = 1;

/// A data folder that this process holds the lock of.
pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as the store is open; the operating system frees it however the process ends.
    _lock: File,
}

/// What the format file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) shards: u16,
    /// Salts the checksums of the log.
    pub(super) salt: u32,
}

impl Format {
    /// A format for a folder that is made now.
    pub(super) fn fresh(shards: u16) -> Self {
        // The hasher of the standard library is seeded by the operating system's random source. The salt is
        // no secret key: an entry must only be unable to guess it.
        let seed = RandomState::new().build_hasher().finish().to_le_bytes();
        let salt = u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]);
        Format { shards, salt }
    }
}

impl Folder {
    /// Makes the folder if need be and takes its lock.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| cannot("make the data folder", path, &error))?;
        let lock = path.join("LOCK");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| cannot("open", &lock, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &lock, &error)),
        }
        let noted = file.set_len(0).and_then(|()| file.rewind());
        noted
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| cannot("write", &lock, &error))?;
        Ok(Folder { path: path.to_owned(), _lock: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state.db")
    }

    fn format(&self) -> PathBuf {
        self.path.join("FORMAT")
    }

    /// What the format file says; nothing if the folder was never finished being made.
    pub(super) fn read_format(&self) -> Result<Option<Format>> {
        let path = self.format();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("read", &path, &error)),
        };
        parse(&text).map(Some).map_err(|why| why.refusal(&path))
    }

    /// Begins to make the store: whatever is in the folder while the format file has no name yet is unfinished.
    pub(super) fn begin(&self, format: Format) -> Result<()> {
        let (log, state, fresh) = (self.log(), self.state(), self.fresh_format());
        if fresh.exists() {
            // An earlier making was interrupted: nobody was told of this store.
            let removed = remove_if_there(std::fs::remove_dir_all(&log))
                .and_then(|()| remove_if_there(std::fs::remove_file(&state)));
            removed.map_err(|error| cannot("clear", &self.path, &error))?;
        }
        if let Some(found) = [&log, &state].into_iter().find(|path| path.exists()) {
            return Err(StoreError::Corrupt(format!(
                "{} is missing, but there is {}: restore the file from a backup",
                self.format().display(),
                found.display()
            )));
        }
        let text = format!("format {FORMAT}\nshards {}\nsalt {:08x}\n", format.shards, format.salt);
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| cannot("write", &fresh, &error))
    }

    /// Gives the format file its name: from now on the folder is a store.
    pub(super) fn finish(&self) -> Result<()> {
        let path = self.format();
        let write = || {
            File::open(&self.path)?.sync_all()?;
            std::fs::rename(self.fresh_format(), &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| cannot("write", &path, &error))
    }

    fn fresh_format(&self) -> PathBuf {
        self.path.join("FORMAT.new")
    }
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

enum Unreadable {
    Newer(u32),
    Damaged,
}

impl Unreadable {
    fn refusal(&self, path: &Path) -> StoreError {
        match self {
            Unreadable::Newer(found) => StoreError::Refused(format!(
                "the data folder is of format {found}, this program knows up to {FORMAT}: use a newer impresario"
            )),
            Unreadable::Damaged => StoreError::Corrupt(format!(
                "{} is damaged: expected lines `format`, `shards` and `salt`; restore it from a backup",
                path.display()
            )),
        }
    }
}

fn parse(text: &str) -> std::result::Result<Format, Unreadable> {
    let value = |name: &str| {
        let mut words = text.lines().map(str::split_whitespace);
        words.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten())
    };
    let format: u32 = value("format").and_then(|text| text.parse().ok()).ok_or(Unreadable::Damaged)?;
    if format > FORMAT {
        return Err(Unreadable::Newer(format));
    }
    let shards = value("shards").and_then(|text| text.parse().ok());
    let salt = value("salt").and_then(|text| u32::from_str_radix(text, 16).ok());
    match (shards, salt) {
        (Some(shards), Some(salt)) => Ok(Format { shards, salt }),
        _ => Err(Unreadable::Damaged),
    }
}

fn in_use(path: &Path, lock: &mut File) -> StoreError {
    let mut pid = String::new();
    // Only to name the culprit: without it the message is still right.
    let _ = lock.take(32).read_to_string(&mut pid);
    let holder = match pid.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    StoreError::Refused(format!(
        "the data folder {} is in use by {holder}: stop it first, or use another folder",
        path.display()
    ))
}

/// The refusal when the operating system does not let us at a file.
pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Refused(format!("cannot {what} {}: {error}", path.display()))
}
