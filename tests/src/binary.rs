//! Finds the binary under test: the one that the same build made.

use std::path::PathBuf;

/// The `impresario` beside this program: a test lies in `target/PROFILE/deps`, a command in `target/PROFILE`.
///
/// Cargo tells only the tests of the binary's own package where it is, so it is looked for here.
pub fn impresario() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    let found =
        own.ancestors().skip(1).take(2).map(|folder| folder.join("impresario")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "expected the binary `impresario` beside {}, found none: build it first with `cargo build -p impresario` \
             (with --release for a release build)",
            own.display()
        )
    })
}
