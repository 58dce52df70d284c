//! The processes that a process has started, and whether they are still there.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process: its number alone may belong to another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    started: u64,
}

/// All that this process has started, and what these have started.
pub(crate) fn of(pid: u32) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for (parent, process) in pids.filter_map(look) {
        children.entry(parent).or_default().push(process);
    }
    let mut found: Vec<Process> = children.remove(&pid).unwrap_or_default();
    let mut at = 0;
    while let Some(process) = found.get(at) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        at += 1;
    }
    found
}

impl Process {
    pub(crate) fn is_alive(self) -> bool {
        look(self.pid).is_some_and(|(_, process)| process == self)
    }

    pub(crate) fn kill(self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // It may have ended meanwhile, which is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A process that does anything, and its parent.
fn look(pid: u32) -> Option<(u32, Process)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, brackets too; what comes after its last one is regular.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some((fields.get(1)?.parse().ok()?, Process { pid, started: fields.get(19)?.parse().ok()? }))
}
