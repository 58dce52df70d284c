//! Every setting of Impresario: typed, from one file, with environment and flags on top.
//!
//! The table in [`settings`] is the only place that names a setting, its type, its default and its meaning:
//! the structs, the checks, `impresario config` and the reference page all come from it. [`load`] merges the
//! sources once, at the start; components take the plain structs by value and never see a file or a variable.

mod error;
mod load;
mod network;
mod reference;
mod settings;
mod source;
mod table;
mod validate;
mod value;

pub use self::error::{ConfigError, Problem};
pub use self::load::{Effective, Loaded, load};
pub use self::network::{Network, Networks};
pub use self::reference::reference;
pub use self::settings::{
    Adapters, Cluster, Config, Engine, Http, KeySettings, Log, Node, Redis, SETTINGS, Snmp, Store, Syslog,
    Tcp, Traces,
};
pub use self::source::{Origin, Override, RESERVED_VARIABLES, Sources, process_variables, variable_of};
pub use self::table::Setting;
pub use self::value::{
    ByteSize, Labels, LogFilter, LogFormat, Name, Names, RedisKeeping, RedisTopology, Servers, StoreKind, Url,
};
