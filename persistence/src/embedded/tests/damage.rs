//! Torn tails are cut, damage is refused: at every byte.

use super::*;
use crate::StoreError;

/// A log of some groups of several entries, crashed without a shutdown; and where its last group begins.
async fn groups(path: &Path) -> (TempDir, usize) {
    let store = open(path).unwrap();
    for number in 0..3 {
        let batch = vec![entry(A, &format!("a{number}")), entry(B, &format!("b{number}"))];
        store.append(batch).await.unwrap();
    }
    let before = std::fs::metadata(&segments(path)[0]).unwrap().len();
    store.append(vec![entry(A, "a3"), entry(B, "b3"), entry(A, "a4")]).await.unwrap();
    (crashed(path), usize::try_from(before).unwrap())
}

const BEFORE: [&str; 3] = ["a0", "a1", "a2"];

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off_whole() {
    let folder = folder();
    let (copy, start) = groups(folder.path()).await;
    let file = &segments(copy.path())[0];
    let whole = std::fs::read(file).unwrap();
    for end in start..=whole.len() {
        std::fs::write(file, &whole[..end]).unwrap();
        let store = open(copy.path()).unwrap();
        let is_whole = end == whole.len();
        assert_eq!(torn(store.report()), end > start && !is_whole, "at {end}");
        let expected = if is_whole { 5 } else { 3 };
        assert_eq!(texts(&store, A).await.len(), expected, "all of the group or none, at {end}");
        assert_eq!(texts(&store, B).await.len(), if is_whole { 4 } else { 3 });
        append(&store, A, "next").await;
        drop(store);
        let store = open(copy.path()).unwrap();
        assert!(!torn(store.report()), "it is sound again, at {end}");
        assert_eq!(texts(&store, A).await.last().unwrap(), "next");
    }
}

#[tokio::test]
async fn a_tail_with_holes_is_cut_off_whole() {
    let folder = folder();
    let (copy, start) = groups(folder.path()).await;
    let file = &segments(copy.path())[0];
    let whole = std::fs::read(file).unwrap();
    // Blocks of one write may reach the disk in any order: what is missing reads as zeros.
    for hole in start..whole.len() {
        let mut bytes = whole.clone();
        let end = (hole + 60).min(bytes.len());
        bytes[hole..end].fill(0);
        std::fs::write(file, &bytes).unwrap();
        let store = open(copy.path()).unwrap();
        assert!(torn(store.report()), "at {hole}");
        assert_eq!(texts(&store, A).await, BEFORE, "at {hole}");
    }
}

#[tokio::test]
async fn a_flipped_bit_before_the_last_group_is_damage() {
    let folder = folder();
    let (copy, start) = groups(folder.path()).await;
    let file = &segments(copy.path())[0];
    let whole = std::fs::read(file).unwrap();
    for at in 0..start {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(file, &bytes).unwrap();
        let Err(StoreError::Corrupt(why)) = open(copy.path()) else {
            panic!("byte {at} of what was acknowledged went unnoticed");
        };
        assert!(why.contains("damaged at byte"), "{why}");
        assert!(why.contains(&format!("impresario repair --data {}", copy.path().display())), "{why}");
        assert_eq!(std::fs::read(file).unwrap(), bytes, "nothing is changed, at {at}");
    }
}

#[tokio::test]
async fn after_a_shutdown_damage_to_the_last_group_is_damage_too() {
    let folder = folder();
    let (_, start) = groups(folder.path()).await;
    // Opened and shut down in good order since.
    drop(open(folder.path()).unwrap());
    let file = &segments(folder.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    bytes[start + 50] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn an_entry_cannot_pass_for_a_record() {
    let folder = folder();
    let (copy, start) = groups(folder.path()).await;
    let stolen = std::fs::read(&segments(copy.path())[0]).unwrap()[start..].to_vec();
    // Another store, whose only group holds what the first one wrote, is torn.
    let other = self::folder();
    let store = open(other.path()).unwrap();
    store.append(vec![Append { shard: A, bytes: stolen.into() }, entry(A, "x")]).await.unwrap();
    let copy = crashed(other.path());
    let file = &segments(copy.path())[0];
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
    let store = open(copy.path()).unwrap();
    assert!(torn(store.report()));
    assert!(texts(&store, A).await.is_empty());
}

async fn segmented(path: &Path) -> Vec<PathBuf> {
    let store = EmbeddedStore::open(EmbeddedConfig { segment_bytes: 600, ..config(path) }).unwrap();
    for number in 0..20 {
        append(&store, if number % 2 == 0 { A } else { B }, &format!("{number:0>100}")).await;
    }
    drop(store);
    segments(path)
}

#[tokio::test]
async fn a_missing_segment_is_damage() {
    let count = segmented(folder().path()).await.len();
    assert!(count > 4, "there are several");
    for missing in 0..count {
        let folder = folder();
        let paths = segmented(folder.path()).await;
        std::fs::remove_file(&paths[missing]).unwrap();
        let opened = open(folder.path());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{missing}: {opened:?}");
    }
}

#[tokio::test]
async fn an_interrupted_beginning_of_a_segment_is_forgotten() {
    let folder = folder();
    let (copy, _) = groups(folder.path()).await;
    for bytes in [&b""[..], &b"IMPRLOG1 and then the power went"[..]] {
        std::fs::write(copy.path().join("log/0000000002.log"), bytes).unwrap();
        let store = open(copy.path()).unwrap();
        assert!(torn(store.report()));
        assert_eq!(texts(&store, A).await.len(), 5);
        drop(store);
    }
}

#[tokio::test]
async fn an_older_state_under_a_trimmed_log_is_damage() {
    let folder = folder();
    let store = EmbeddedStore::open(EmbeddedConfig { segment_bytes: 300, ..config(folder.path()) }).unwrap();
    let epoch = claim(&store, A).await;
    let backup = crashed(folder.path());
    let mut last = Offset::ZERO;
    for _ in 0..10 {
        last = append(&store, A, &"x".repeat(100)).await;
    }
    store.checkpoint(A, epoch, mark(last)).await.unwrap();
    let newer = crashed(folder.path());
    drop(store);
    for entry in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(entry));
        let _ = std::fs::copy(backup.path().join(entry), folder.path().join(entry));
    }
    let Err(StoreError::Corrupt(why)) = open(folder.path()) else {
        panic!("entries behind the mark are gone");
    };
    assert!(why.contains("begins after"), "{why}");
    // And the other way round: a log from before the state.
    std::fs::remove_dir_all(newer.path().join("log")).unwrap();
    copy_into(&backup.path().join("log"), &newer.path().join("log"));
    std::fs::copy(backup.path().join("FORMAT"), newer.path().join("FORMAT")).unwrap();
    let Err(StoreError::Corrupt(why)) = open(newer.path()) else {
        panic!("the log is behind the state");
    };
    assert!(why.contains("ends at"), "{why}");
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_handed_out() {
    let folder = folder();
    let store = open(folder.path()).unwrap();
    let epoch = claim(&store, A).await;
    let put = Checkpoint { put: vec![row("bad"), row("good")], ..Checkpoint::default() };
    store.checkpoint(A, epoch, put).await.unwrap();
    drop(store);
    let db = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    db.execute("UPDATE rows SET snapshot = X'00' WHERE actor = 'bad'", []).unwrap();
    drop(db);
    let store = open(folder.path()).unwrap();
    assert!(matches!(store.row(A, "bad".into()).await, Err(StoreError::Corrupt(_))));
    assert!(store.row(A, "good".into()).await.unwrap().is_some());
    drop(store);
    let report = crate::repair(folder.path()).unwrap();
    assert_eq!(report.lost_rows, [(A, "bad".to_owned())]);
    let store = open(folder.path()).unwrap();
    assert_eq!(store.row(A, "bad".into()).await, Ok(None));
}
