//! Files on the other side, over SFTP.
//!
//! A file is put there whole or not at all: its bytes go into a new file beside it, which takes its name only once all
//! of them are there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::Failure;
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode, Version};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::arguments::{Encoding, GetArguments, PutArguments};
use super::execute::accepted;
use super::pool::{Hold, Lease};

/// How many bytes go in one message: what every server takes.
const CHUNK_BYTES: usize = 32 * 1024;
/// How long a server may take to answer one message, in seconds.
const REQUEST_TIMEOUT_SECONDS: u64 = 30;
/// The mode of a new file, unless the definition says otherwise.
const NEW_FILE_MODE: u32 = 0o644;
/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;
/// What lets a file take the name of another.
const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// What writes a file's bytes to its disk.
const FSYNC: &str = "fsync@openssh.com";

/// A conversation about files.
pub(super) struct Files {
    sftp: RawSftpSession,
    version: Version,
    place: String,
    _hold: Hold,
}

impl Files {
    /// Begins one on a channel.
    pub(super) async fn open(lease: Lease, place: &str) -> Result<Self, Failure> {
        let Lease { mut channel, hold } = lease;
        let broken = |error: String| {
            Failure::communication(format!("the connection to {place} broke before anything was done"))
                .with_detail(error)
        };
        channel.request_subsystem(true, "sftp").await.map_err(|error| broken(error.to_string()))?;
        if !accepted(&mut channel).await {
            return Err(Failure::configuration(format!("{place} does not speak SFTP"))
                .with_detail("its sshd needs a line such as `Subsystem sftp internal-sftp`"));
        }
        let sftp = RawSftpSession::new(channel.into_stream());
        sftp.set_timeout(REQUEST_TIMEOUT_SECONDS);
        let version = sftp.init().await.map_err(|error| broken(error.to_string()))?;
        Ok(Self { sftp, version, place: place.to_owned(), _hold: hold })
    }

    /// Reads a file, if it is not too long.
    pub(super) async fn get(&self, arguments: &GetArguments) -> Result<Value, Failure> {
        let path = arguments.path.as_str();
        let failed = |error: Error| self.explain(&error, "read", path);
        let attributes = FileAttributes { permissions: None, ..FileAttributes::empty() };
        let handle = self.sftp.open(path, OpenFlags::READ, attributes).await.map_err(failed)?.handle;
        let stat = self.sftp.fstat(handle.as_str()).await.map_err(failed)?.attrs;
        if stat.is_dir() {
            return Err(Failure::configuration(format!("`{path}` on {} is a directory", self.place)));
        }
        let mut bytes = Vec::new();
        // A file may grow while it is read, and some have no size.
        while bytes.len() <= arguments.limit {
            let offset = bytes.len() as u64;
            match self.sftp.read(handle.as_str(), offset, CHUNK_BYTES as u32).await {
                Ok(read) if read.data.is_empty() => break,
                Ok(read) => bytes.extend_from_slice(&read.data),
                Err(Error::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(error) => return Err(failed(error)),
            }
        }
        // What was read is not changed by it.
        drop(self.sftp.close(handle).await);
        let (size, limit) = (bytes.len(), arguments.limit);
        if size > limit {
            let title = format!("`{path}` on {} has more than {limit} bytes", self.place);
            return Err(Failure::runtime(title).with_detail(format!(
                "it says that it has {}; raise `limit`",
                stat.size.unwrap_or_default()
            )));
        }
        let content = match arguments.encoding {
            Encoding::Base64 => STANDARD.encode(bytes),
            Encoding::Text => String::from_utf8(bytes).map_err(|_| {
                Failure::runtime(format!("`{path}` on {} is not text in UTF-8", self.place))
                    .with_detail("read it with `encoding: base64`")
            })?,
        };
        let mode = stat.permissions.map(|mode| format!("{:04o}", mode & PERMISSIONS));
        Ok(json!({"content": content, "size": size, "mode": mode, "modified": stat.mtime}))
    }

    /// Writes a file, whole or not at all. `key` makes the name of what is written until then.
    pub(super) async fn put(&self, arguments: &PutArguments, key: &str) -> Result<Value, Failure> {
        let bytes = arguments.bytes()?;
        let (path, old) = self.real(&arguments.path).await?;
        let kept = old.as_ref().and_then(|old| old.permissions).map(|mode| mode & PERMISSIONS);
        let mode = arguments.mode.or(kept).unwrap_or(NEW_FILE_MODE);
        if old.is_some() && !self.can(POSIX_RENAME) {
            return Err(Failure::configuration(format!("{} cannot replace a file at once", self.place))
                .with_detail(format!("`{path}` is there, and the server lacks `{POSIX_RENAME}`")));
        }
        let beside = beside(&path, key);
        let done = self.write(&beside, &bytes, mode).await;
        let done = match done {
            Ok(()) => self.rename(&beside, &path, old.is_some()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.remove(&beside).await;
            return Err(self.explain(&error, "write", &path));
        }
        Ok(
            json!({"path": path, "size": bytes.len(), "mode": format!("{mode:04o}"), "replaced": old.is_some()}),
        )
    }

    /// Takes away what an attempt that was cut off may have left.
    pub(super) async fn clear(&self, arguments: &PutArguments, key: &str) {
        if let Ok((path, _)) = self.real(&arguments.path).await {
            self.remove(&beside(&path, key)).await;
        }
    }

    async fn remove(&self, path: &str) {
        // It may not be there, or nobody may be there to take it away.
        drop(self.sftp.remove(path).await);
    }

    /// The file that is meant: where a link points to, not the link. And what it is now, if it is there.
    async fn real(&self, path: &str) -> Result<(String, Option<FileAttributes>), Failure> {
        if path.is_empty() || path.ends_with('/') {
            return Err(Failure::validation(format!("`{path}` is not the path of a file")));
        }
        let failed = |error: Error| self.explain(&error, "write", path);
        let stat = match self.sftp.lstat(path).await {
            Ok(stat) => stat.attrs,
            Err(Error::Status(status)) if status.status_code == StatusCode::NoSuchFile => {
                return Ok((path.to_owned(), None));
            }
            Err(error) => return Err(failed(error)),
        };
        if stat.is_dir() {
            return Err(Failure::configuration(format!("`{path}` on {} is a directory", self.place)));
        }
        if !stat.is_symlink() {
            return Ok((path.to_owned(), Some(stat)));
        }
        let names = self.sftp.realpath(path).await.map_err(failed)?.files;
        let real = names.into_iter().next().map_or_else(|| path.to_owned(), |file| file.filename);
        let stat = self.sftp.stat(real.as_str()).await.ok().map(|stat| stat.attrs);
        Ok((real, stat))
    }

    async fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        // Nobody else reads it while it is written, and nobody's link is followed.
        let private = FileAttributes { permissions: Some(0o600), ..FileAttributes::empty() };
        // An earlier attempt of the same activity may have left one.
        self.remove(path).await;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let handle = self.sftp.open(path, flags, private).await?.handle;
        for (number, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let offset = (number * CHUNK_BYTES) as u64;
            self.sftp.write(handle.as_str(), offset, chunk.to_vec()).await?;
        }
        let attributes = FileAttributes { permissions: Some(mode), ..FileAttributes::empty() };
        self.sftp.fsetstat(handle.as_str(), attributes).await?;
        if self.can(FSYNC) {
            self.sftp.fsync(handle.as_str()).await?;
        }
        self.sftp.close(handle).await?;
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), Error> {
        if !replace || !self.can(POSIX_RENAME) {
            self.sftp.rename(from, to).await?;
            return Ok(());
        }
        let mut names = Vec::new();
        for name in [from, to] {
            let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            names.extend_from_slice(&length.to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        match self.sftp.extended(POSIX_RENAME, names).await? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(Error::Status(status)),
            _ => Err(Error::UnexpectedPacket),
        }
    }

    fn can(&self, extension: &str) -> bool {
        self.version.extensions.contains_key(extension)
    }

    /// Why a file could not be read or written.
    fn explain(&self, error: &Error, what: &str, path: &str) -> Failure {
        let place = &self.place;
        let status = match error {
            Error::Status(status) => status.status_code,
            Error::Timeout => {
                return Failure::timeout(format!("{place} did not answer in time about `{path}`"));
            }
            other => {
                return Failure::communication(format!("the connection to {place} broke over `{path}`"))
                    .with_detail(other.to_string());
            }
        };
        match status {
            StatusCode::NoSuchFile => {
                Failure::configuration(format!("no `{path}` on {place}")).with_detail(match what {
                    "read" => "there is no such file, or the user may not see it",
                    _ => "its directory does not exist",
                })
            }
            StatusCode::PermissionDenied => Failure::new(
                Failure::AUTHORIZATION,
                403,
                format!("`{path}` on {place} may not be {}", done(what)),
            )
            .with_detail("the user has no permission; to write, it needs it for the directory"),
            _ => Failure::runtime(format!("`{path}` on {place} could not be {}", done(what)))
                .with_detail(error.to_string()),
        }
    }
}

fn done(what: &str) -> &'static str {
    if what == "read" { "read" } else { "written" }
}

/// A name beside a file, the same for all attempts of one activity and for nothing else.
fn beside(path: &str, key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let mark: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let (directory, name) = path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
    let slash = if path.contains('/') { "/" } else { "" };
    format!("{directory}{slash}.{name}.{mark}.part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_yet_whole_lies_beside_the_file() {
        let name = beside("/etc/app/app.conf", "key");
        assert!(name.starts_with("/etc/app/.app.conf.") && name.ends_with(".part"), "{name}");
        assert!(beside("app.conf", "key").starts_with(".app.conf."));
        assert!(beside("/x", "key").starts_with("/.x."));
        assert_ne!(beside("/x", "key"), beside("/x", "other"));
    }
}
