//! What a process and its descendants have in memory, as the kernel tells in `/proc`.

use std::fs;

/// A host with more descendants is weighed by the first of them.
const PROCESSES_MAX: usize = 1024;

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// Of the process alone.
    pub(super) own: u64,
    /// Of it and all that it has started, directly or not.
    pub(super) all: u64,
}

/// Weighs a process; nothing if it has ended. Pages that several of them share count for each.
pub(super) async fn weigh(pid: u32) -> Option<Weight> {
    // The kernel may take its time to tell, for a process that is being swapped for instance.
    tokio::task::spawn_blocking(move || read(pid)).await.ok().flatten()
}

fn read(pid: u32) -> Option<Weight> {
    let own = resident(pid)?;
    let mut weight = Weight { own, all: own };
    let mut waiting = children(pid);
    let mut seen = 1;
    while let Some(child) = waiting.pop() {
        if seen == PROCESSES_MAX {
            break;
        }
        seen += 1;
        // One that has just ended weighs nothing.
        weight.all = weight.all.saturating_add(resident(child).unwrap_or(0));
        waiting.extend(children(child));
    }
    Some(weight)
}

/// The line `VmRSS:  1234 kB` of `status`; a process that has ended and was not waited for has none.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// Each thread has the children that it started.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_weighs_what_it_has_and_its_children_too() {
        let before = read(std::process::id()).unwrap();
        assert!(before.own > 100_000, "{before:?}");
        let mut child = std::process::Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let found = children(std::process::id());
        assert!(found.contains(&child.id()), "{found:?}");
        let after = read(std::process::id()).unwrap();
        assert!(after.all > after.own, "{after:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read(child.id()), None);
    }
}
