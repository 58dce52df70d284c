//! `DATA/node.json`: where the node that uses a data folder answers, for the command line to find.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A running node, as it tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its API, such as `http://127.0.0.1:4747`.
    pub url: String,
    /// Where its TCP door listens, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<SocketAddr>,
    /// Where its syslog listener listens over TCP, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SocketAddr>,
    /// Where its syslog listener listens over UDP, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog_udp: Option<SocketAddr>,
    /// Where its listener for SNMP notifications listens, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snmp: Option<SocketAddr>,
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

fn file(data: &Path) -> PathBuf {
    data.join("node.json")
}

impl Endpoint {
    /// Tells where this process answers. Whole or not at all: others read it at any time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, data: &Path) -> io::Result<()> {
        let half = data.join("node.json.new");
        fs::write(&half, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&half, file(data))
    }

    /// Takes the file away again, if it still tells about this process.
    pub fn withdraw(&self, data: &Path) {
        if Endpoint::find(data).is_some_and(|found| found.pid == self.pid) {
            // A file that stays behind only names a node that does not answer.
            let _ = fs::remove_file(file(data));
        }
    }

    /// What the last node of the folder told; after a crash it is there still.
    pub fn find(data: &Path) -> Option<Endpoint> {
        serde_json::from_slice(&fs::read(file(data)).ok()?).ok()
    }
}
