//! The user that a program runs as, if that is not the node's own.
//!
//! Changing the user, its group and all its further groups is left to `setpriv` of util-linux: the standard library can
//! change the first two alone, and would take the others away.

use std::ffi::OsString;
use std::process::Stdio;

use impresario_adapter::Failure;

/// What changes the user.
pub(super) const SETPRIV: &str = "setpriv";

/// A user of this machine.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    home: String,
    shell: String,
}

impl Account {
    /// The user of that name, if programs can run as it here; `None` if they do anyhow.
    pub(super) async fn find(name: &str) -> Result<Option<Self>, Failure> {
        let unknown = || {
            Failure::configuration(format!("no user `{name}`"))
                .with_detail("the `user` of a command must exist on the node that runs it")
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(unknown());
        }
        // Users may come from elsewhere than a file.
        let asked = tokio::process::Command::new("getent")
            .args(["passwd", name])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let asked = asked.map_err(|error| {
            Failure::configuration("the users of this machine are not known")
                .with_detail(format!("`getent` cannot be started: {error}"))
        })?;
        let account = Self::parse(&String::from_utf8_lossy(&asked.stdout)).ok_or_else(unknown)?;
        let current = rustix::process::geteuid();
        if current.as_raw() == account.uid {
            return Ok(None);
        }
        if !current.is_root() {
            let title = format!("no program can run as `{name}` here");
            return Err(Failure::new(Failure::AUTHORIZATION, 403, title).with_detail(format!(
                "the node runs as the user with the number {}, and only root may change to another one",
                current.as_raw()
            )));
        }
        Ok(Some(account))
    }

    /// Reads `name:password:uid:gid:about:home:shell`.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.lines().next()?.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields.try_into().ok()?;
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        Some(Self { name: name.into(), uid, gid, home: home.into(), shell: shell.into() })
    }

    /// What `setpriv` is to do before it becomes the program.
    pub(super) fn options(&self) -> Vec<String> {
        let (uid, gid) = (format!("--reuid={}", self.uid), format!("--regid={}", self.gid));
        vec![uid, gid, "--init-groups".into(), "--inh-caps=-all".into(), "--".into()]
    }

    /// What a program finds in its environment about the user that it runs as.
    pub(super) fn environment(&self) -> Vec<(String, OsString)> {
        let Self { name, home, shell, .. } = self;
        let variables = [("HOME", home), ("USER", name), ("LOGNAME", name), ("SHELL", shell)];
        variables.into_iter().map(|(variable, value)| (variable.to_owned(), value.into())).collect()
    }
}
