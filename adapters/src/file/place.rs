//! Where a file is: an open folder and a name in it, so that whatever is done is done there, and beneath the root.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use impresario_adapter::{Failure, Target};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::failure;

/// The root that the target has, beside the one that a call may name.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    target: Option<PathBuf>,
}

impl Roots {
    pub(super) fn of(target: Option<&Target>) -> Result<Self, Failure> {
        match target.and_then(|target| target.properties.get("root")) {
            None => Ok(Self::default()),
            Some(root) => match root.as_str().map(PathBuf::from).filter(|root| root.is_absolute()) {
                Some(root) => Ok(Self { target: Some(root) }),
                None => Err(Failure::configuration("the target's property `root` is not valid")
                    .with_detail(format!("expected an absolute path, found {root}"))),
            },
        }
    }
}

/// A name in an open folder.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// As people know it.
    pub(super) path: PathBuf,
}

impl Place {
    /// Finds the folder of a path. Its last component need not exist, and is not followed.
    pub(super) fn find(roots: &Roots, root: Option<&str>, path: &str) -> Result<Self, Failure> {
        let (base, relative, full) = resolve(roots, root, path)?;
        let last = relative.components().next_back();
        let Some(Component::Normal(name)) = last else {
            return Err(Failure::validation(format!("`{path}` does not name a file"))
                .with_detail("expected a path that ends in a name"));
        };
        let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = open_beneath(&base, parent.unwrap_or(Path::new(".")), folder_flags())
            .map_err(|error| refused(&full, error))?;
        Ok(Self { folder, name: name.to_owned(), path: full })
    }

    /// What is there, without following a symbolic link.
    pub(super) fn status(&self) -> Result<Stat, Errno> {
        fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Opens a folder.
pub(super) fn open_folder(
    roots: &Roots,
    root: Option<&str>,
    path: &str,
) -> Result<(OwnedFd, PathBuf), Failure> {
    let (base, relative, full) = resolve(roots, root, path)?;
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { &relative };
    let folder = open_beneath(&base, relative, folder_flags()).map_err(|error| refused(&full, error))?;
    Ok((folder, full))
}

/// Opens a file, and follows symbolic links as far as they stay beneath the root.
pub(super) fn open_file(
    roots: &Roots,
    root: Option<&str>,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<(std::fs::File, PathBuf), Failure> {
    let (base, relative, full) = resolve(roots, root, path)?;
    let what = || format!("opening {}", full.display());
    let file = match base {
        Base::Everything => fs::openat(CWD, &full, flags | OFlags::CLOEXEC | OFlags::NONBLOCK, mode),
        Base::Root(root) => beneath(&root, &relative, flags | OFlags::NONBLOCK, mode),
    };
    let file: std::fs::File = file.map_err(|error| refused(&full, error))?.into();
    let status = file.metadata().map_err(|error| failure(&what(), error))?;
    if !status.is_file() {
        return Err(Failure::new(Failure::RUNTIME, 409, format!("{} failed", what()))
            .with_detail("expected a regular file, found a folder, a pipe or a device"));
    }
    Ok((file, full))
}

enum Base {
    Everything,
    Root(OwnedFd),
}

/// The root, the path from there, and the whole of it.
fn resolve(roots: &Roots, root: Option<&str>, path: &str) -> Result<(Base, PathBuf, PathBuf), Failure> {
    let path = Path::new(path);
    let root = match (roots.target.as_deref(), root.map(Path::new)) {
        (None, None) if path.is_absolute() => {
            return Ok((Base::Everything, path.to_owned(), path.to_owned()));
        }
        (None, None) => {
            return Err(Failure::validation("a path without a root must be absolute")
                .with_detail(format!("found `{}`", path.display())));
        }
        (Some(outer), None) => outer.to_owned(),
        (None, Some(own)) if own.is_absolute() => own.to_owned(),
        (None, Some(own)) => {
            return Err(Failure::validation("`root` must be absolute")
                .with_detail(format!("found `{}`", own.display())));
        }
        (Some(outer), Some(own)) => inner(outer, own)?,
    };
    let open = |root: &Path| fs::openat(CWD, root, folder_flags() | OFlags::CLOEXEC, Mode::empty());
    let open_root = match &roots.target {
        // The root of the call is beneath that of the target, whatever links there are between the two.
        Some(outer) => {
            let own = root.strip_prefix(outer).map_err(|_| outside(&root))?;
            let own = if own.as_os_str().is_empty() { Path::new(".") } else { own };
            open(outer).and_then(|outer| beneath(&outer, own, folder_flags(), Mode::empty()))
        }
        None => open(&root),
    };
    let open_root = open_root.map_err(|error| refused(&root, error))?;
    let relative =
        if path.is_absolute() { path.strip_prefix(&root).map_err(|_| outside(path))? } else { path };
    Ok((Base::Root(open_root), relative.to_owned(), root.join(relative)))
}

fn inner(outer: &Path, own: &Path) -> Result<PathBuf, Failure> {
    let joined = outer.join(own);
    if joined.starts_with(outer) { Ok(joined) } else { Err(outside(own)) }
}

fn folder_flags() -> OFlags {
    OFlags::DIRECTORY | OFlags::RDONLY
}

fn open_beneath(base: &Base, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    match base {
        // Without a root the path is absolute already, and so is its parent.
        Base::Everything => fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()),
        Base::Root(root) => beneath(root, path, flags, Mode::empty()),
    }
}

fn beneath(root: &OwnedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // The kernel refuses a mode that would not be used.
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve)
}

fn refused(path: &Path, error: Errno) -> Failure {
    match error {
        Errno::XDEV => outside(path),
        Errno::NOSYS => Failure::configuration("a root needs the system call openat2")
            .with_detail("expected Linux 5.6 or later, and no sandbox that forbids it"),
        error => failure(&format!("opening {}", path.display()), error),
    }
}

fn outside(path: &Path) -> Failure {
    Failure::new(Failure::AUTHORIZATION, 403, format!("{} is outside of the root", path.display()))
        .with_detail(
            "expected a path beneath the root, without symbolic links that lead out of it or are absolute",
        )
}
