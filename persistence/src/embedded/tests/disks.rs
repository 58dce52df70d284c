//! A disk that fails when it is told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::embedded::disk::{Disk, DiskFile, OsDisk};

/// What is to fail.
#[derive(Default)]
pub(super) struct Faults {
    /// Bytes that still fit; unlimited while negative is not allowed.
    pub(super) room: AtomicI64,
    pub(super) limited: AtomicBool,
    pub(super) sync_fails: AtomicBool,
    pub(super) truncate_fails: AtomicBool,
}

pub(super) struct FaultyDisk(pub(super) Arc<Faults>);

struct FaultyFile(Arc<dyn DiskFile>, Arc<Faults>);

fn fail_if(flag: &AtomicBool) -> io::Result<()> {
    if flag.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { Ok(()) }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(OsDisk.create(path)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(OsDisk.open(path)?, Arc::clone(&self.0))))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        OsDisk.entries(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fail_if(&self.0.sync_fails)?;
        OsDisk.sync_folder(folder)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.1.limited.load(Ordering::SeqCst) {
            let room = self.1.room.load(Ordering::SeqCst);
            let fits = usize::try_from(room).unwrap_or(0).min(bytes.len());
            self.1.room.fetch_sub(i64::try_from(fits).unwrap(), Ordering::SeqCst);
            // A part of it is written before the disk is full, as real disks do.
            self.0.write_at(&bytes[..fits], at)?;
            if fits < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            return Ok(());
        }
        self.0.write_at(bytes, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_at(buffer, at)
    }

    fn sync(&self) -> io::Result<()> {
        fail_if(&self.1.sync_fails)?;
        self.0.sync()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        fail_if(&self.1.truncate_fails)?;
        self.0.truncate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}
