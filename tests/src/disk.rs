//! A disk that is really small: a file system in memory, in a mount namespace of its own where the system lets
//! everybody have one, else mounted by root.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A small disk; it is gone when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is for those in its namespace.
    inside: PathBuf,
    /// Where it is for everybody else.
    outside: PathBuf,
    /// Keeps the namespace alive; none if the disk is mounted for all.
    holder: Option<Child>,
}

impl SmallDisk {
    /// A disk of so many MiB, mounted at this empty folder.
    ///
    /// # Panics
    /// When the system allows neither way.
    pub fn mount(at: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(at).expect("a temporary folder can be written");
        let options = format!("size={mebibytes}m");
        let script = "mount -t tmpfs -o \"$1\" none \"$2\" && echo mounted && exec cat";
        let holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh", &options])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut holder) = holder {
            if said_mounted(&mut holder) {
                let root = PathBuf::from(format!("/proc/{}/root", holder.id()));
                let outside = root.join(at.strip_prefix("/").expect("a full path"));
                return SmallDisk { inside: at.to_owned(), outside, holder: Some(holder) };
            }
            end(&mut holder);
        }
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).status();
        assert!(
            mount.is_ok_and(|status| status.success()),
            "expected a small disk, found that this system lets neither users have namespaces (unshare -rm) nor this \
             user mount: run the tests as root, or allow unprivileged user namespaces"
        );
        SmallDisk { inside: at.to_owned(), outside: at.to_owned(), holder: None }
    }

    /// The path for a node in the namespace.
    pub fn inside(&self) -> &Path {
        &self.inside
    }

    /// The same path for the test.
    pub fn outside(&self) -> &Path {
        &self.outside
    }

    /// The command that runs another one where the disk is.
    pub fn wrapper(&self) -> Vec<String> {
        let Some(holder) = &self.holder else { return Vec::new() };
        let target = holder.id().to_string();
        ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &target]
            .map(str::to_owned)
            .to_vec()
    }

    fn filler(&self) -> PathBuf {
        self.outside.join("filler")
    }

    /// Fills the disk but for about so many bytes.
    pub fn fill(&self, spare: u64) {
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a small disk can be written");
        let block = vec![0x5A; 4 * 1024];
        while filler.write_all(&block).is_ok() {}
        let length = filler.metadata().expect("a file has a length").len();
        filler.set_len(length.saturating_sub(spare)).expect("a file can be cut");
    }

    /// Gives the space back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler is there");
    }
}

/// Whether the holder has got as far as to have the disk.
fn said_mounted(holder: &mut Child) -> bool {
    use std::io::{BufRead, BufReader};
    let Some(stdout) = holder.stdout.take() else { return false };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).is_ok() && line.trim() == "mounted"
}

fn end(holder: &mut Child) {
    // It may have ended by itself.
    let _ = holder.kill();
    let _ = holder.wait();
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match &mut self.holder {
            Some(holder) => end(holder),
            None => {
                // The node may still be about to end; a lazy unmount waits for it.
                let _ = Command::new("umount").arg("-l").arg(&self.inside).status();
            }
        }
    }
}
