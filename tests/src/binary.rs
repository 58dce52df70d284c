//! Finds the binary under test: the one that the same build made.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The `impresario` beside this program: a test lies in `target/PROFILE/deps`, a command in `target/PROFILE`.
///
/// Cargo tells only the tests of the binary's own package where it is, so it is looked for here.
pub fn impresario() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    let found =
        own.ancestors().skip(1).take(2).map(|folder| folder.join("impresario")).find(|path| path.is_file());
    let found = found.unwrap_or_else(|| {
        panic!(
            "expected the binary `impresario` beside {}, found none: build it first with `cargo build -p impresario` \
             (with --release for a release build)",
            own.display()
        )
    });
    if is_older_than_its_sources(&found) {
        eprintln!(
            "{} is older than its sources: `cargo build -p impresario` makes a new one",
            found.display()
        );
    }
    found
}

/// Whether a source has changed since; cargo lists them beside the binary. Tests of one package alone do not build it.
fn is_older_than_its_sources(binary: &Path) -> bool {
    let changed =
        |path: &Path| fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let list = fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    sources.split_whitespace().any(|source| changed(Path::new(source)) > changed(binary))
}
