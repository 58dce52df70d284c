//! The node: parse, build, run, drain.

mod adapters;
mod app;
mod approve;
mod arm;
mod ask;
mod calendars;
mod cluster;
mod declared;
mod deploy;
mod events;
mod fairness;
mod figures;
mod instances;
mod inventory;
mod local;
mod logs;
mod mask;
mod members;
mod orders;
mod peers;
mod raised;
mod reach;
mod recent;
mod refusal;
mod runtime_users;
mod stores;
#[cfg(test)]
pub(crate) mod test_store;
mod traces;
mod tree;
mod trigger_views;
mod triggers;
mod turns;
mod views;
mod webhooks;
mod write_check;

use std::path::PathBuf;

use impresario_actors::hosts::HostsError;
use impresario_actors::post::PostError;
use impresario_actors::supervision::SupervisorError;
use impresario_config::Config;
use impresario_persistence::StoreError;

pub use self::adapters::Adapters;
pub use self::app::App;
pub(crate) use self::app::blocking;
pub use self::deploy::{Deployment, builtin_catalog, refresh as refresh_definitions};
pub use self::local::{Local, LocalArguments};
pub use self::peers::Peers;
pub use self::raised::Raised;
pub use self::recent::Recent;
pub use self::views::unsupported;
pub use self::webhooks::SharedWebhooks;
use crate::http::TokenError;
use crate::listener::DoorError;
use crate::secrets::SecretsError;
use crate::settings::SettingError;

/// Why a node cannot run, or stopped running.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder cannot be made or used.
    #[error("expected to use the data folder {}, found: {source}", .path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A setting of the environment.
    #[error("{0}")]
    Setting(SettingError),
    /// The door.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// The token of the API.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The environment key.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// A pack, or what was deployed before.
    #[error("{0}")]
    Deploy(String),
    /// What follows from the packs cannot be made durable.
    #[error("{0}")]
    Post(#[from] PostError),
    /// The adapter hosts.
    #[error("{0}")]
    Hosts(#[from] HostsError),
    /// The supervisor of the shards.
    #[error("{0}")]
    Supervision(#[from] SupervisorError),
    /// A part of the node that everything depends on cannot go on.
    #[error("the node stops because it cannot go on: {0}")]
    Escalated(String),
    /// The async runtime cannot be built, or this program cannot find itself.
    #[error("{0}")]
    System(String),
}

impl From<SettingError> for NodeError {
    fn from(error: SettingError) -> NodeError {
        match error {
            SettingError::Store(error) => NodeError::Store(error),
            error => NodeError::Setting(error),
        }
    }
}

/// Runs a node until it is asked to stop, and stops it in good order.
///
/// # Errors
/// [`NodeError`] when it cannot start, or cannot go on.
pub fn serve(config: Config, packs: &[PathBuf]) -> Result<(), NodeError> {
    crate::telemetry::install(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("impresario")
        .build()
        .map_err(|error| NodeError::System(format!("the async runtime cannot be built: {error}")))?;
    let result = runtime.block_on(async {
        let app = App::build(config, packs).await?;
        app.run().await
    });
    // Whatever still blocks is cut off; everything durable is durable.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// The folder of the embedded store.
pub fn store_folder(config: &Config) -> PathBuf {
    config.data.clone()
}
