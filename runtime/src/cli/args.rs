//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::adapters::Adapters;
use super::console::Console;
use super::events::Events;
use super::log::LogArguments;
use super::orders::{Rerun, Resolve};
use super::triggers::Triggers;

/// A process orchestrator for IT operations that stays up.
#[derive(Debug, Parser)]
#[command(name = "impresario", version, propagate_version = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(flatten)]
    pub(super) folder: Folder,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Debug, Default, Args)]
pub(super) struct Global {
    /// Read this file of settings (else IMPRESARIO_CONFIG, else impresario.toml if it is there).
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The data folder, from wherever it was given.
    #[arg(skip)]
    pub(super) data: Option<String>,
    /// Change a setting; may be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Ask the node at this address (else IMPRESARIO_URL, else the node of the data folder).
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Not a global option, because the data of `send` is another thing: there the folder goes before the command.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Folder {
    /// Use this data folder (setting data).
    #[arg(long, value_name = "FOLDER")]
    pub(super) data: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node, with the definitions of packs.
    Serve(Serve),
    /// Check a definition or a pack, without a node.
    Check {
        /// A definition file or a pack folder.
        path: PathBuf,
    },
    /// Send an event to the node.
    Send(Send),
    /// Send an event to the node, and wait for the answers of the instances that it starts.
    Ask(Ask),
    /// Start an instance of a definition.
    Start(Start),
    /// List instances, newest first.
    Ps(Ps),
    /// Show one instance with its activities.
    Show {
        /// The instance, or the first 8 characters of it or more.
        id: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Ask an instance to end.
    Cancel {
        /// The instance, or the first 8 characters of it or more.
        id: String,
        /// Why, for the history.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
    Resolve(Resolve),
    Rerun(Rerun),
    /// Draw the live tree of actors.
    Tree(Folder),
    Console(Console),
    /// List the nodes of the cluster, or remove one that is gone.
    Nodes(Nodes),
    /// List the adapters at all nodes, or operate one.
    Adapters(Adapters),
    /// Have a node finish what it does, hand its work over and leave.
    Drain(Drain),
    Log(LogArguments),
    /// List, describe or remove targets: what work is done on.
    Targets(Inventory),
    /// List, describe or remove types of targets.
    TargetTypes(Inventory),
    /// List, describe or remove groups of targets.
    Groups(Inventory),
    /// List, declare, pause or remove monitors: what adapters observe.
    Monitors(Declare),
    /// List, declare, pause or remove sinks: where events go that are raised here.
    Sinks(Sinks),
    /// List, describe or remove calendars: on which days triggers fire.
    Calendars(Inventory),
    /// List, set or remove runtime users: as whom work is done. Their secrets are never shown.
    Users(Users),
    /// List or show webhooks, or try what one would make of a request.
    Webhooks(Webhooks),
    /// Show, export, import or rotate the environment key, under which secrets are sealed.
    Key(KeyArguments),
    /// List the definitions.
    Definitions(Folder),
    /// List the triggers, or show, pause, resume, fire or test one.
    Triggers(Triggers),
    /// Tell what came in: repetitions, counters, and the newest events with what each did.
    Events(Events),
    /// Print every setting in force and where it comes from.
    Config {
        /// Print the reference page of all settings instead.
        #[arg(long)]
        reference: bool,
        #[command(flatten)]
        folder: Folder,
    },
    /// Repair the embedded store of the data folder, while no node uses it.
    Repair(Folder),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Tell whether a program keeps to the adapter protocol.
    AdapterTest(AdapterTest),
    /// Serve an adapter over standard input and output; nodes start it.
    #[command(hide = true)]
    AdapterHost(AdapterHost),
}

impl Command {
    /// The data folder that was given after the command.
    pub(super) fn folder(&self) -> Option<&Folder> {
        match self {
            Command::Serve(Serve { folder, .. })
            | Command::Start(Start { folder, .. })
            | Command::Ps(Ps { folder, .. })
            | Command::Show { folder, .. }
            | Command::Cancel { folder, .. }
            | Command::Resolve(Resolve { folder, .. })
            | Command::Rerun(Rerun { folder, .. })
            | Command::Config { folder, .. }
            | Command::Drain(Drain { folder, .. })
            | Command::Tree(folder)
            | Command::Definitions(folder)
            | Command::Repair(folder) => Some(folder),
            Command::Nodes(nodes) => Some(nodes.folder()),
            Command::Log(log) => Some(&log.folder),
            Command::Triggers(triggers) => Some(triggers.folder()),
            Command::Events(events) => Some(events.folder()),
            Command::Adapters(adapters) => Some(adapters.folder()),
            Command::Console(console) => Some(&console.folder),
            Command::Monitors(declare) => Some(&declare.folder),
            Command::Sinks(sinks) => Some(&sinks.folder),
            Command::Users(users) => Some(&users.folder),
            Command::Key(key) => Some(&key.folder),
            Command::Webhooks(webhooks) => Some(&webhooks.folder),
            Command::Targets(inventory)
            | Command::TargetTypes(inventory)
            | Command::Groups(inventory)
            | Command::Calendars(inventory) => Some(&inventory.folder),
            Command::Check { .. }
            | Command::Send(_)
            | Command::Ask(_)
            | Command::Completions { .. }
            | Command::AdapterTest(_)
            | Command::AdapterHost(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AdapterTest {
    /// Also call this function for real, once; a monitor is watched for a moment.
    #[arg(long, value_name = "FUNCTION")]
    pub(super) call: Option<String>,
    /// What to call it with: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON", requires = "call")]
    pub(super) arguments: Option<String>,
    /// The call takes long, and may be begun several times: cancel it, and cut it off.
    #[arg(long, requires = "call")]
    pub(super) long: bool,
    /// How long to wait for each answer, and for each end.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) timeout: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct AdapterHost {
    /// The adapter.
    pub(super) name: String,
    /// For `mcp`: the address of a server, in the place of a command.
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub(super) server: Option<String>,
    /// For `mcp`: the command that starts a server.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct Nodes {
    #[command(subcommand)]
    pub(super) command: Option<NodesCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

impl Nodes {
    /// The data folder, before or after the word that follows.
    fn folder(&self) -> &Folder {
        match &self.command {
            Some(NodesCommand::Remove { folder, .. }) if folder.data.is_some() => folder,
            _ => &self.folder,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum NodesCommand {
    /// Forget a node that is gone, and its token with it.
    Remove {
        /// The node.
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
pub(super) struct Inventory {
    #[command(subcommand)]
    pub(super) command: Option<InventoryCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum InventoryCommand {
    /// List all of them.
    List,
    /// Show one of them.
    Show {
        /// Its name.
        name: String,
    },
    /// Describe one of them, or change what is said of it.
    Set {
        /// Its name.
        name: String,
        /// What changes: limit=3, properties.host=web1, labels.site=berlin, enabled=false; null removes a member. Values
        /// are JSON, or else text.
        #[arg(value_name = "MEMBER=VALUE")]
        changes: Vec<String>,
        /// The whole description instead of what it is now: JSON, @FILE or - for standard input.
        #[arg(long, value_name = "JSON")]
        spec: Option<String>,
    },
    /// Remove one of them.
    Remove {
        /// Its name.
        name: String,
    },
    /// Describe all that a file has, in YAML or JSON, under targetTypes, targets, groups and calendars.
    Import {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct Declare {
    #[command(subcommand)]
    pub(super) command: Option<DeclaredCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum DeclaredCommand {
    /// List all of them.
    List,
    /// Show one of them.
    Show {
        /// Its name.
        name: String,
    },
    /// Declare one of them, or change what is said of it.
    Set {
        /// Its name.
        name: String,
        /// What changes, such as function=file/file-watch or arguments.folder=/in; null removes a member. Values are JSON, or
        /// else text.
        #[arg(value_name = "MEMBER=VALUE")]
        changes: Vec<String>,
        /// The whole description instead of what it is now: JSON, @FILE or - for standard input.
        #[arg(long, value_name = "JSON")]
        spec: Option<String>,
    },
    /// Remove one of them.
    Remove {
        /// Its name.
        name: String,
    },
    /// Have one rest until it is resumed; where it is stays known.
    Pause {
        /// Its name.
        name: String,
    },
    /// Have one go on; one that waits after a failure tries at once.
    Resume {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Sinks {
    #[command(subcommand)]
    pub(super) command: Option<SinksCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum SinksCommand {
    #[command(flatten)]
    Declared(DeclaredCommand),
    /// Show what could not be delivered.
    Dead {
        /// The sink.
        name: String,
    },
    /// Send dead letters again.
    Retry {
        /// The sink.
        name: String,
        /// Which; all by default.
        numbers: Vec<u64>,
    },
    /// Forget dead letters.
    Drop {
        /// The sink.
        name: String,
        /// Which; all by default.
        numbers: Vec<u64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Users {
    #[command(subcommand)]
    pub(super) command: Option<UsersCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Add a runtime user, or change fields of one.
    Set {
        /// Its name, by which definitions and targets ask for it.
        name: String,
        /// Fields, such as username, password, token, privateKey, passphrase. FIELD=- asks at the terminal or reads standard
        /// input, FIELD=@FILE reads a file, FIELD= removes it. Others on this machine can see a value given as FIELD=VALUE.
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Remove a runtime user.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct KeyArguments {
    #[command(subcommand)]
    pub(super) command: KeyCommand,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Tell which keys this machine has, and since when; never the keys.
    Show,
    /// Write the keys of this machine, sealed by a passphrase, to a file or to standard output.
    Export {
        /// The file, which must not be there yet.
        file: Option<PathBuf>,
        /// Read the passphrase from this file instead of the terminal.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Add the keys of an export to those of this machine.
    Import {
        /// The file, or - for standard input.
        file: PathBuf,
        /// Read the passphrase from this file instead of the terminal.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Have the running node make a new key, and seal every secret anew under it.
    Rotate,
}

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The node; by default the one that is asked.
    pub(super) node: Option<String>,
    /// Do not wait until it has left.
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Packs, folders or single definitions, to deploy at the start.
    #[arg(value_name = "PACK")]
    pub(super) packs: Vec<PathBuf>,
    /// Listen at this address (setting http.listen).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The event's type, such as com.example.disk.full.
    #[arg(value_name = "TYPE", required_unless_present = "event", conflicts_with = "event")]
    pub(super) kind: Option<String>,
    /// Where it comes from, a URI reference.
    #[arg(long, default_value = "/impresario/cli", conflicts_with = "event")]
    pub(super) source: String,
    /// What it is about.
    #[arg(long, conflicts_with = "event")]
    pub(super) subject: Option<String>,
    /// Its id (a new one by default); the same source and id again starts nothing again.
    #[arg(long, conflicts_with = "event")]
    pub(super) id: Option<String>,
    /// Its data: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "event")]
    pub(super) data: Option<String>,
    /// Send so many, with ids of their own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "event")]
    pub(super) count: u32,
    /// Send a whole CloudEvent in JSON, of a file or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) event: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The event's type, such as com.example.disk.full.
    #[arg(value_name = "TYPE", required_unless_present = "event", conflicts_with = "event")]
    pub(super) kind: Option<String>,
    /// Where it comes from, a URI reference.
    #[arg(long, default_value = "/impresario/cli", conflicts_with = "event")]
    pub(super) source: String,
    /// What it is about.
    #[arg(long, conflicts_with = "event")]
    pub(super) subject: Option<String>,
    /// Its id (a new one by default); the same source and id again finds the same instances.
    #[arg(long, conflicts_with = "event")]
    pub(super) id: Option<String>,
    /// Its data: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "event")]
    pub(super) data: Option<String>,
    /// Send a whole CloudEvent in JSON, of a file or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) event: Option<String>,
    /// How long to wait for the answers, at most 10m.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) timeout: String,
}

#[derive(Debug, Args)]
pub(super) struct Webhooks {
    #[command(subcommand)]
    pub(super) command: Option<WebhooksCommand>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// List all of them.
    List,
    /// Show one with its whole mapping.
    Show {
        /// Its name.
        name: String,
    },
    /// Tell what it would make of a request: whether the sender would be believed, and the events. Nothing is sent.
    Test {
        /// Its name.
        name: String,
        /// The body, of a file or - for standard input.
        #[arg(long, value_name = "FILE")]
        body: Option<String>,
        /// A header; may be repeated.
        #[arg(long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// A parameter; may be repeated.
        #[arg(long, value_name = "NAME=VALUE")]
        query: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// namespace/name (its newest version) or namespace/name:version.
    pub(super) definition: String,
    /// The input: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON")]
    pub(super) input: Option<String>,
    /// An idempotency key: the same key starts at most one instance of a definition.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Wait until it ended, and print its output.
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Only instances of this status.
    #[arg(long)]
    pub(super) status: Option<String>,
    /// Only instances of this definition.
    #[arg(long)]
    pub(super) definition: Option<String>,
    /// Only instances with an activity on this target.
    #[arg(long)]
    pub(super) target: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(super) limit: usize,
    /// The page after; a page that has one names it.
    #[arg(long)]
    pub(super) cursor: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}
