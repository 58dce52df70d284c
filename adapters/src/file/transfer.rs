//! Reading, writing, appending, moving and deleting.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use impresario_adapter::Failure;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::arguments::{Append, Delete, Existing, Form, Move, READ_LIMIT_MAX, Read, Write};
use super::failure;
use super::place::{Place, Roots, open_file};

/// What a file gets whose mode nobody said.
const MODE: u32 = 0o644;
/// How many names for a temporary file are tried. Each that is taken was left by a process that was killed.
const DRAFTS_MAX: u32 = 100;

pub(super) fn read_file(roots: &Roots, arguments: Read) -> Result<Value, Failure> {
    let Read { path, root, form, offset, length, limit } = arguments;
    let most = length.unwrap_or(limit);
    if most > READ_LIMIT_MAX {
        return Err(Failure::validation("the limit is too high")
            .with_detail(format!("expected at most {READ_LIMIT_MAX} bytes, found {most}")));
    }
    let (mut file, path) = open_file(roots, root.as_deref(), &path, OFlags::RDONLY, Mode::empty())?;
    let what = format!("reading {}", path.display());
    let failed = |error| failure(&what, error);
    let status = file.metadata().map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    // One more tells whether there is more. The size may be wrong: files of /proc have none.
    let taken = if length.is_some() { most } else { most + 1 };
    (&mut file).take(taken).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Failure::runtime(format!("{what} failed")).with_detail(format!(
            "it has more than {most} bytes: raise `limit` up to {READ_LIMIT_MAX}, or read a part with `offset` and `length`"
        )));
    }
    let read = bytes.len();
    let content =
        decode(form, bytes).map_err(|why| Failure::runtime(format!("{what} failed")).with_detail(why))?;
    let modified = modified_ms(status.mtime(), status.mtime_nsec());
    Ok(json!({"content": content, "read": read, "size": status.size(), "modifiedMs": modified}))
}

/// `again` says that an attempt before this one may have done it.
pub(super) fn write_file(roots: &Roots, arguments: Write, again: bool) -> Result<Value, Failure> {
    let Write { path, root, content, form, existing, mode } = arguments;
    let bytes = encode(form, &content)?;
    let place = Place::find(roots, root.as_deref(), &path)?;
    let what = format!("writing {}", place.path.display());
    let failed = |error: Errno| failure(&what, error);
    let before = match place.status() {
        Ok(status) => Some(status),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(failed(error)),
    };
    let kind = before.as_ref().map(|status| FileType::from_raw_mode(status.st_mode));
    match (existing, kind) {
        (_, Some(kind)) if !matches!(kind, FileType::RegularFile | FileType::Symlink) => {
            return Err(Failure::new(Failure::RUNTIME, 409, format!("{what} failed"))
                .with_detail("expected a regular file in this place, found a folder, a pipe or a device"));
        }
        (Existing::Refuse, Some(_)) if again && holds(&place, &bytes) => {
            return Ok(json!({"size": bytes.len(), "created": true}));
        }
        (Existing::Refuse, Some(_)) => return Err(failed(Errno::EXIST)),
        (Existing::Require, None) => return Err(failed(Errno::NOENT)),
        (Existing::Replace | Existing::Require, _) | (Existing::Refuse, None) => {}
    }
    // Replacing a file is no reason to open it to others. The mode of a link says nothing.
    let old =
        before.as_ref().filter(|_| kind == Some(FileType::RegularFile)).map(|status| status.st_mode & 0o7777);
    let mode = mode.or(old).unwrap_or(MODE);
    let draft = Draft::write(&place, &bytes, mode).map_err(|error| failure(&what, error))?;
    draft.take_place(existing == Existing::Refuse).map_err(failed)?;
    Ok(json!({"size": bytes.len(), "created": before.is_none()}))
}

/// A temporary file beside the one that it is to become. Dropped, it is gone.
struct Draft<'a> {
    place: &'a Place,
    name: Option<String>,
}

impl<'a> Draft<'a> {
    fn write(place: &'a Place, bytes: &[u8], mode: u32) -> std::io::Result<Self> {
        let (draft, mut file) = Self::create(place)?;
        file.write_all(bytes)?;
        // After the creation, since a umask would take bits away that were asked for.
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()?;
        Ok(draft)
    }

    fn create(place: &'a Place) -> std::io::Result<(Self, File)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let own = std::process::id();
        for number in 0..DRAFTS_MAX {
            let name = format!(".impresario-{own}-{:x}-{number}", thread());
            match fs::openat(&place.folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((Self { place, name: Some(name) }, file.into())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn take_place(mut self, exclusive: bool) -> Result<(), Errno> {
        let Some(name) = &self.name else { return Ok(()) };
        let (folder, flags) =
            (&self.place.folder, if exclusive { RenameFlags::NOREPLACE } else { RenameFlags::empty() });
        fs::renameat_with(folder, name, folder, &self.place.name, flags)?;
        self.name = None;
        fs::fsync(folder)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // It is worth nothing; that it stays behind is all that can go wrong.
            let _ = fs::unlinkat(&self.place.folder, name, AtFlags::empty());
        }
    }
}

/// Names of two drafts at once differ.
fn thread() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::thread::current().id().hash(&mut hasher);
    hasher.finish()
}

/// Whether a file has exactly this content.
fn holds(place: &Place, bytes: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = fs::openat(&place.folder, &place.name, flags, Mode::empty()) else { return false };
    let mut found = Vec::new();
    let read = File::from(file).take(bytes.len() as u64 + 1).read_to_end(&mut found);
    read.is_ok() && found == bytes
}

pub(super) fn append(roots: &Roots, arguments: Append) -> Result<Value, Failure> {
    let Append { path, root, content, form, create, mode } = arguments;
    let bytes = encode(form, &content)?;
    let create = if create { OFlags::CREATE } else { OFlags::empty() };
    let mode = Mode::from_raw_mode(mode.unwrap_or(MODE));
    let (mut file, path) =
        open_file(roots, root.as_deref(), &path, OFlags::WRONLY | OFlags::APPEND | create, mode)?;
    let what = format!("appending to {}", path.display());
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|error| failure(&what, error))?;
    let size = file.metadata().map_err(|error| failure(&what, error))?.size();
    Ok(json!({"written": bytes.len(), "size": size}))
}

pub(super) fn move_file(roots: &Roots, arguments: &Move) -> Result<Value, Failure> {
    let Move { from, to, root, replace } = arguments;
    let source = Place::find(roots, root.as_deref(), from)?;
    let goal = Place::find(roots, root.as_deref(), to)?;
    let what = format!("moving {} to {}", source.path.display(), goal.path.display());
    let flags = if *replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    fs::renameat_with(&source.folder, &source.name, &goal.folder, &goal.name, flags)
        .and_then(|()| fs::fsync(&goal.folder))
        .and_then(|()| fs::fsync(&source.folder))
        .map_err(|error| failure(&what, error))?;
    Ok(json!({"path": to}))
}

pub(super) fn delete(roots: &Roots, arguments: &Delete, again: bool) -> Result<Value, Failure> {
    let Delete { path, root, missing_ok } = arguments;
    let place = Place::find(roots, root.as_deref(), path)?;
    match fs::unlinkat(&place.folder, &place.name, AtFlags::empty()) {
        Ok(()) => {
            fs::fsync(&place.folder).map_err(|error| failure(&format!("deleting {path}"), error))?;
            Ok(json!({"deleted": true}))
        }
        Err(Errno::NOENT) if again || *missing_ok => Ok(json!({"deleted": again})),
        Err(error) => Err(failure(&format!("deleting {}", place.path.display()), error)),
    }
}

fn decode(form: Form, bytes: Vec<u8>) -> Result<Value, String> {
    match form {
        Form::Base64 => Ok(BASE64_STANDARD.encode(bytes).into()),
        Form::Json => {
            serde_json::from_slice(&bytes).map_err(|error| format!("expected JSON, found: {error}"))
        }
        Form::Text => match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err(format!("expected UTF-8, found another byte at {at}: read it as base64"))
            }
        },
    }
}

fn encode(form: Option<Form>, content: &Value) -> Result<Vec<u8>, Failure> {
    match (form, content) {
        (None | Some(Form::Text), Value::String(text)) => Ok(text.clone().into_bytes()),
        (Some(Form::Base64), Value::String(text)) => BASE64_STANDARD
            .decode(text)
            .map_err(|error| Failure::validation("`content` is not base64").with_detail(error.to_string())),
        (None | Some(Form::Json), content) => Ok(content.to_string().into_bytes()),
        (Some(Form::Text | Form::Base64), _) => {
            Err(Failure::validation("`content` must be a string, or be written as JSON"))
        }
    }
}

pub(super) fn modified_ms(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}
