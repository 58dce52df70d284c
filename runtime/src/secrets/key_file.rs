//! The file with the keys of a node: for its owner alone, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use impresario_config::Config;
use zeroize::Zeroizing;

use super::{KeyRing, SecretsError};

/// A file beyond this holds no keys of ours.
const LENGTH_LIMIT: u64 = 64 * 1024;
/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// Where the keys of a node are: the setting `key.file`, else beside the token of its data folder.
pub fn key_file(config: &Config) -> PathBuf {
    config.key.file.clone().unwrap_or_else(|| config.data.join("environment.key"))
}

/// The keys of a file.
///
/// # Errors
/// [`SecretsError::Mode`] when others may read it, [`SecretsError::Damaged`] when it holds something else.
pub fn read(path: &Path) -> Result<KeyRing, SecretsError> {
    match read_or_none(path)? {
        Some(ring) => Ok(ring),
        None => Err(SecretsError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() }),
    }
}

/// Like [`read`]; nothing if there is no such file.
pub fn read_or_none(path: &Path) -> Result<Option<KeyRing>, SecretsError> {
    let failed = |source| SecretsError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretsError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LENGTH_LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "bytes that are no text".to_owned());
    let ring = text.and_then(KeyRing::parse);
    ring.map(Some).map_err(|found| SecretsError::Damaged { path: path.to_owned(), found })
}

/// Writes the keys durably, in place of those that the file has.
pub(super) fn write(path: &Path, ring: &KeyRing) -> Result<(), SecretsError> {
    let failed = |source| SecretsError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let half = path.with_extension("key.new");
    let text = ring.to_text()?;
    // One that a crash left may have another mode.
    match fs::remove_file(&half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half).map_err(failed)?;
    writeln!(file, "{}", &*text).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&half, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Adds the keys of an export to a file; answers what it has now.
pub fn import(path: &Path, keys: KeyRing) -> Result<KeyRing, SecretsError> {
    if let Some(folder) = path.parent() {
        let failed = |source| SecretsError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // A damaged file is what an import is for; one that others can read is not silently taken over.
    let had = match read_or_none(path) {
        Ok(ring) => ring.unwrap_or_default(),
        Err(SecretsError::Damaged { .. }) => KeyRing::default(),
        Err(error) => return Err(error),
    };
    let ring = keys.keys().iter().cloned().fold(had, KeyRing::with);
    write(path, &ring)?;
    Ok(ring)
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    #[test]
    fn keys_are_kept_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.key");
        assert!(read_or_none(&path).unwrap().is_none());
        let ring = KeyRing::default().with(Key::make(1).unwrap());
        write(&path, &ring).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().ids(), ring.ids());
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_named_and_an_import_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.key");
        let ring = KeyRing::default().with(Key::make(1).unwrap());
        write(&path, &ring).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, SecretsError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("key import"), "{error}");
        import(&path, ring.clone()).unwrap();
        assert_eq!(read(&path).unwrap().ids(), ring.ids());
        let other = KeyRing::default().with(Key::make(2).unwrap());
        assert_eq!(import(&path, other).unwrap().keys().len(), 2, "what was there stays");
    }
}
