//! Between SQLite's types and errors, and ours.

use std::path::Path;

use crc32fast::Hasher;
use rusqlite::ErrorCode;

use crate::StoreError;

/// A number as SQLite keeps it. What is over its range (times beyond the year 292 million) is kept as the most
/// it can be.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as SQLite kept it.
pub(super) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A limit of rows as SQLite takes it.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The least string that is greater than all strings with this prefix, if there is one.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The range steps over the surrogates, which are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The checksum of a row: of its snapshot and of whose it is.
pub(in crate::embedded) fn checksum_of(actor: &str, snapshot: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(actor.as_bytes());
    hasher.update(snapshot);
    hasher.finalize()
}

/// What the caller does about an error of the database.
pub(in crate::embedded) fn explain(error: &rusqlite::Error, path: &Path) -> StoreError {
    let place = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(format!("cannot write to {place}: {error}")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(format!("{place} is damaged: {error}; restore it from a backup"))
        }
        _ => StoreError::Failed(format!("{place}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_end_of_a_prefix_is_next_in_order() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(after_prefix(""), None);
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }
}
