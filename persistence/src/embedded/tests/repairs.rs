//! Repair keeps what is readable and names what is not.

use super::*;
use crate::StoreError;
use crate::embedded::repair;
use crate::embedded::report::LostEntries;

async fn log_of(path: &Path, segment_bytes: u64) -> Vec<PathBuf> {
    let store = EmbeddedStore::open(EmbeddedConfig { segment_bytes, ..config(path) }).unwrap();
    for number in 0..6 {
        append(&store, A, &format!("a{number}")).await;
        append(&store, B, &format!("b{number}")).await;
    }
    drop(store);
    segments(path)
}

fn expected(letter: char, lost: &[usize]) -> Vec<String> {
    (0..6).filter(|at| !lost.contains(at)).map(|at| format!("{letter}{at}")).collect()
}

#[tokio::test]
async fn a_sound_store_stays_as_it_is() {
    let folder = folder();
    let paths = log_of(folder.path(), 1000).await;
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let report = repair(folder.path()).unwrap();
    assert!(report.is_clean() && report.kept_aside.is_none(), "{report}");
    assert_eq!(report.kept, 12);
    let after: Vec<_> = segments(folder.path()).iter().map(|p| std::fs::read(p).unwrap()).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn damage_anywhere_loses_only_what_it_touches() {
    let folder = folder();
    let file = log_of(folder.path(), 1_000_000).await.remove(0);
    let whole = std::fs::read(&file).unwrap();
    let header = super::super::log::segment::SegmentHeader::len(2);
    let record = super::super::log::record::HEADER_LEN + 2;
    for at in (0..header + record * 12).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        let copy = crashed(folder.path());
        let damaged = &segments(copy.path())[0];
        std::fs::write(damaged, &bytes).unwrap();
        assert!(matches!(open(copy.path()), Err(StoreError::Corrupt(_))), "at {at}");
        let report = repair(copy.path()).unwrap();
        assert_eq!(report.unreadable.len(), 1, "at {at}: {report}");
        let aside = report.kept_aside.clone().unwrap();
        assert_eq!(std::fs::read(aside.join(damaged.file_name().unwrap())).unwrap(), bytes);
        let hit = at.checked_sub(header).map(|at| at / record);
        let lost = |parity: usize| {
            hit.filter(|hit| hit % 2 == parity).map(|hit| hit / 2).into_iter().collect::<Vec<_>>()
        };
        let store = open(copy.path()).unwrap();
        assert_eq!(texts(&store, A).await, expected('a', &lost(0)), "at {at}");
        assert_eq!(texts(&store, B).await, expected('b', &lost(1)), "at {at}");
        assert_eq!(report.kept, if hit.is_some() { 11 } else { 12 });
        // The last entry of a shard has none behind it that would tell: the bytes are reported all the same.
        if let Some(hit) = hit.filter(|hit| hit / 2 < 5) {
            let (shard, number) = (ShardId(u16::try_from(hit % 2).unwrap()), hit as u64 / 2 + 1);
            assert_eq!(report.lost, [LostEntries { shard, first: number, last: number }], "at {at}");
        }
        append(&store, A, "next").await;
        drop(store);
        assert!(repair(copy.path()).unwrap().is_clean(), "at {at}");
    }
}

#[tokio::test]
async fn a_missing_segment_is_named_and_the_rest_kept() {
    let folder = folder();
    let paths = log_of(folder.path(), 260).await;
    std::fs::remove_file(&paths[1]).unwrap();
    assert!(open(folder.path()).is_err());
    let report = repair(folder.path()).unwrap();
    assert!(report.entries_lost() > 0, "{report}");
    assert_eq!(report.kept + report.entries_lost(), 12, "every entry is kept or named: {report}");
    let store = open(folder.path()).unwrap();
    let kept = texts(&store, A).await.len() + texts(&store, B).await.len();
    assert_eq!(kept as u64, report.kept);
}

#[tokio::test]
async fn what_the_state_covers_is_not_lost() {
    let folder = folder();
    let store = open(folder.path()).unwrap();
    let epoch = claim(&store, A).await;
    let mut offsets = Vec::new();
    for number in 0..4 {
        offsets.push(append(&store, A, &number.to_string()).await);
    }
    store.checkpoint(A, epoch, mark(offsets[2])).await.unwrap();
    drop(store);
    let file = &segments(folder.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    let header = super::super::log::segment::SegmentHeader::len(2);
    bytes[header + 5] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    let report = repair(folder.path()).unwrap();
    assert_eq!((report.kept, report.entries_lost()), (1, 0), "{report}");
    let store = open(folder.path()).unwrap();
    assert_eq!(texts(&store, A).await, ["3"]);
    assert_eq!(claim(&store, A).await, Epoch(epoch.0 + 1));
}

#[tokio::test]
async fn an_interrupted_repair_is_finished() {
    for steps in 1..=3 {
        let folder = folder();
        let file = log_of(folder.path(), 1_000_000).await.remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[80] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        // The steps of an exchange that was interrupted after some of them.
        let at = |name: &str| folder.path().join(name);
        let done = crashed(folder.path());
        repair(done.path()).unwrap();
        let fresh = &segments(done.path())[0];
        std::fs::create_dir(at("log.repaired")).unwrap();
        std::fs::copy(fresh, at("log.repaired").join(fresh.file_name().unwrap())).unwrap();
        if steps > 1 {
            std::fs::rename(at("log"), at("log.damaged")).unwrap();
            assert!(open(folder.path()).is_err(), "a store without a log does not open");
        }
        if steps > 2 {
            std::fs::rename(at("log.repaired"), at("log")).unwrap();
        }
        repair(folder.path()).unwrap();
        let store = open(folder.path()).unwrap();
        assert_eq!(texts(&store, A).await.len() + texts(&store, B).await.len(), 11, "{steps}");
        assert!(at("log/damaged-1").exists() && !at("log.damaged").exists(), "{steps}");
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_begun_anew_behind_the_state() {
    let folder = folder();
    let store = open(folder.path()).unwrap();
    let epoch = claim(&store, A).await;
    let last = append(&store, A, "1").await;
    store.checkpoint(A, epoch, mark(last)).await.unwrap();
    append(&store, A, "lost").await;
    drop(store);
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();
    let Err(StoreError::Corrupt(why)) = open(folder.path()) else {
        panic!("a store without its log");
    };
    assert!(why.contains("found none"), "{why}");
    let report = repair(folder.path()).unwrap();
    assert!(!report.is_clean() && report.reason.is_some(), "{report}");
    let store = open(folder.path()).unwrap();
    assert_eq!(*store.head(A).borrow(), last);
    assert!(append(&store, A, "next").await > last);
}

#[test]
fn there_must_be_a_store() {
    let folder = folder();
    assert!(matches!(repair(folder.path()), Err(StoreError::Refused(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
}
