//! `DATA/node.json`: where the node that uses a data folder answers, for the command line to find.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A running node, as it tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Its API, such as `http://127.0.0.1:4747`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// Its name.
    pub node: String,
    /// Its program's version.
    pub version: String,
    /// When it started.
    #[serde(with = "humantime_serde")]
    pub started: SystemTime,
}

/// The file, for as long as the node runs: it is taken away when this is dropped.
#[derive(Debug)]
pub struct Published {
    data: PathBuf,
    address: Address,
}

fn file(data: &Path) -> PathBuf {
    data.join("node.json")
}

/// Tells where this process answers. Whole or not at all: others read it at any time.
///
/// # Errors
/// When the file cannot be written.
pub fn write(data: &Path, url: &str, node: &str) -> io::Result<Published> {
    let address = Address {
        url: url.to_owned(),
        pid: std::process::id(),
        node: node.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: SystemTime::now(),
    };
    let half = data.join("node.json.new");
    fs::write(&half, serde_json::to_vec_pretty(&address)?)?;
    fs::rename(&half, file(data))?;
    Ok(Published { data: data.to_owned(), address })
}

/// What the last node of the folder told; after a crash it is there still.
pub fn find(data: &Path) -> Option<Address> {
    serde_json::from_slice(&fs::read(file(data)).ok()?).ok()
}

impl Drop for Published {
    fn drop(&mut self) {
        // Another node may have taken the folder over in the meantime.
        if find(&self.data).as_ref() == Some(&self.address) {
            // A file that stays behind only names a node that does not answer.
            let _ = fs::remove_file(file(&self.data));
        }
    }
}
