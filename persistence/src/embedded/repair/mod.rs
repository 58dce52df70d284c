//! Repair: keeps every entry that can be read, and says what is lost.
//!
//! The log is written anew beside the old one, then the two change places; the old one is kept as it was inside
//! the new one's folder. Interrupted at any point, a repair is finished by running it again.

mod rows;
mod salvage;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::OsDisk;
use super::folder::{Folder, Format, cannot};
use super::log::{rewrite, scan};
use super::report::RepairReport;
use super::state;
use crate::StoreError;
use crate::port::{Offset, Result};

/// Repairs the store in a data folder, so that it opens again. A store that is well stays as it is.
///
/// # Errors
/// [`StoreError::Refused`] when the store is in use or there is none; [`StoreError::Corrupt`] when the format
/// file or the database is beyond repair.
pub fn repair(path: &Path) -> Result<RepairReport> {
    if !path.join("FORMAT").exists() {
        return Err(StoreError::Refused(format!("there is no store in {}", path.display())));
    }
    let folder = Folder::lock(path)?;
    let Some(format) = folder.read_format()? else {
        return Err(StoreError::Refused(format!("there is no store in {}", path.display())));
    };
    let swap = Swap::of(&folder);
    swap.resume()?;
    let database = folder.state();
    let mut db = state::open_for_writing(&database, None)?;
    rows::check_integrity(&db, &database)?;
    let marks = state::read_shards(&mut db, &database, format.shards)?.marks;
    let mut report = repair_log(&swap, format, &marks)?;
    report.lost_rows = rows::set_aside(&mut db, &database)?;
    Ok(report)
}

fn repair_log(swap: &Swap, format: Format, marks: &[Offset]) -> Result<RepairReport> {
    let reason = match scan::scan(&OsDisk, &swap.log, format, marks) {
        Ok(found) => {
            let behind = |(shard, place): &&(crate::ShardId, _)| {
                let place: &super::log::Place = place;
                marks.get(usize::from(shard.0)).is_some_and(|mark| place.offset > *mark)
            };
            let kept = found.entries.iter().filter(behind).count() as u64;
            return Ok(RepairReport { kept, ..RepairReport::default() });
        }
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => return Err(error),
    };
    let salvaged = salvage::salvage(&swap.log, format, marks)?;
    let mut report = salvaged.report;
    rewrite(&OsDisk, &swap.fresh, format, marks, salvaged.next, &salvaged.entries)?;
    report.reason = Some(reason);
    report.kept = salvaged.entries.len() as u64;
    report.kept_aside = Some(swap.exchange()?);
    Ok(report)
}

/// The folders whose names change places.
struct Swap {
    data: PathBuf,
    log: PathBuf,
    fresh: PathBuf,
    old: PathBuf,
}

impl Swap {
    fn of(folder: &Folder) -> Self {
        Swap {
            data: folder.path().to_owned(),
            log: folder.log(),
            fresh: folder.path().join("log.repaired"),
            old: folder.path().join("log.damaged"),
        }
    }

    /// Finishes or forgets what an interrupted repair left.
    fn resume(&self) -> Result<()> {
        let finish = || {
            if self.old.exists() {
                if !self.log.exists() {
                    std::fs::rename(&self.fresh, &self.log)?;
                }
                self.put_aside()?;
            } else if self.fresh.exists() {
                std::fs::remove_dir_all(&self.fresh)?;
            }
            // A log that is gone is repaired like one without segments.
            std::fs::create_dir_all(&self.log)
        };
        finish().map_err(|error| cannot("finish the repair of", &self.data, &error))
    }

    /// Puts the new log in the place of the old one; answers where the old one is kept.
    fn exchange(&self) -> Result<PathBuf> {
        let exchange = || {
            std::fs::rename(&self.log, &self.old)?;
            std::fs::rename(&self.fresh, &self.log)?;
            self.put_aside()
        };
        exchange().map_err(|error| cannot("exchange the logs in", &self.data, &error))
    }

    fn put_aside(&self) -> io::Result<PathBuf> {
        let mut number = 1;
        let mut aside = self.log.join("damaged-1");
        while aside.exists() || self.old.join(format!("damaged-{number}")).exists() {
            number += 1;
            aside = self.log.join(format!("damaged-{number}"));
        }
        std::fs::rename(&self.old, &aside)?;
        File::open(&self.log)?.sync_all()?;
        File::open(&self.data)?.sync_all()?;
        Ok(aside)
    }
}
