//! The monitor `file-watch`: new, changed and removed files of a folder.
//!
//! The cursor is what is known of each file: inode, size and time of change. Everything that differs at the next look is
//! told once it has settled, and then known. What happens to a file between two looks is one change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use impresario_adapter::{Failure, WatchContext};
use serde_json::{Value, json};

use super::arguments::{Initial, Watch};
use super::blocking;
use super::folder::{Entry, describe, pattern, scan};
use super::place::{Roots, open_folder};

/// How many files a watch knows. They all are in its cursor.
const FILES_MAX: usize = 3000;
/// After so many events there is a cursor, so that a crash has no more of them told again.
const CURSOR_EVERY: usize = 64;

/// Inode, size, and time of change in seconds and nanoseconds.
type Print = (u64, u64, i64, i64);
type Known = BTreeMap<String, Print>;

/// What happened to a file.
#[derive(Debug, PartialEq)]
enum Change {
    Created(Entry),
    Changed(Entry),
    Removed(String, Print),
}

pub(super) async fn watch(
    mut context: WatchContext,
    roots: Roots,
    arguments: Watch,
    cursor: Option<Value>,
) -> Result<(), Failure> {
    let mut known = match cursor {
        Some(cursor) => serde_json::from_value::<Known>(cursor).map_err(|error| {
            Failure::configuration("the cursor is not one of `file-watch`").with_detail(error.to_string())
        })?,
        None => {
            let known = match arguments.initial {
                Initial::Skip => {
                    let (_, files) = look(&roots, &arguments).await?;
                    files.into_iter().map(|entry| (entry.name.clone(), print(&entry))).collect()
                }
                Initial::Tell => Known::new(),
            };
            context.cursor(json!(known)).await?;
            known
        }
    };
    // What was seen at the last look and not told yet.
    let mut unsettled = Known::new();
    loop {
        tokio::time::sleep(arguments.interval).await;
        let (folder, files) = look(&roots, &arguments).await?;
        let seen: Known = files.iter().map(|entry| (entry.name.clone(), print(entry))).collect();
        let changes = changes(&known, files);
        let is_settled = |change: &Change| match change {
            Change::Created(entry) | Change::Changed(entry) => {
                !arguments.settled || unsettled.get(&entry.name) == Some(&print(entry))
            }
            Change::Removed(..) => true,
        };
        let told: Vec<Change> = changes.into_iter().filter(is_settled).collect();
        let count = told.len();
        for (number, change) in told.into_iter().enumerate() {
            let event = event(&folder, &change);
            match change {
                Change::Created(entry) | Change::Changed(entry) => {
                    known.insert(entry.name.clone(), print(&entry));
                }
                Change::Removed(name, _) => {
                    known.remove(&name);
                }
            }
            let with_cursor = number + 1 == count || (number + 1) % CURSOR_EVERY == 0;
            context.event(event, with_cursor.then(|| json!(known))).await?;
        }
        unsettled = seen;
    }
}

async fn look(roots: &Roots, arguments: &Watch) -> Result<(PathBuf, Vec<Entry>), Failure> {
    let (roots, arguments) = (roots.clone(), arguments.clone());
    blocking(move || {
        let (folder, path) = open_folder(&roots, arguments.root.as_deref(), &arguments.folder)?;
        let mut files = scan(&folder, &path, &pattern(&arguments.pattern)?)?;
        files.retain(|entry| entry.kind == "file");
        if files.len() > FILES_MAX {
            return Err(Failure::runtime(format!("watching {} failed", path.display())).with_detail(
                format!(
                    "expected at most {FILES_MAX} files that suit the pattern, found {}: narrow it",
                    files.len()
                ),
            ));
        }
        Ok((path, files))
    })
    .await
}

fn print(entry: &Entry) -> Print {
    (entry.inode, entry.size, entry.seconds, entry.nanoseconds)
}

/// What differs, by name; what is gone first.
fn changes(known: &Known, files: Vec<Entry>) -> Vec<Change> {
    let names: std::collections::BTreeSet<&str> = files.iter().map(|entry| entry.name.as_str()).collect();
    let gone = known.iter().filter(|(name, _)| !names.contains(name.as_str()));
    let mut changes: Vec<Change> = gone.map(|(name, print)| Change::Removed(name.clone(), *print)).collect();
    for entry in files {
        match known.get(&entry.name) {
            None => changes.push(Change::Created(entry)),
            Some(before) if *before != print(&entry) => changes.push(Change::Changed(entry)),
            Some(_) => {}
        }
    }
    changes
}

fn event(folder: &std::path::Path, change: &Change) -> Value {
    let (what, name, (inode, size, seconds, nanoseconds), data) = match change {
        Change::Created(entry) => ("created", &entry.name, print(entry), describe(folder, entry)),
        Change::Changed(entry) => ("changed", &entry.name, print(entry), describe(folder, entry)),
        Change::Removed(name, print) => {
            ("removed", name, *print, json!({"name": name, "path": folder.join(name)}))
        }
    };
    json!({
        "specversion": "1.0",
        // The same change has the same id, however often it is seen.
        "id": format!("{what}:{name}:{inode}:{size}:{seconds}.{nanoseconds:09}"),
        "source": format!("/impresario/file{}", folder.display()).replace(' ', "%20"),
        "type": format!("impresario.file.{what}"),
        "subject": name,
        "data": data,
    })
}
