//! The built-in adapters of Impresario.
//!
//! [`builtin`] makes one, for an adapter host to serve. [`manifests`] and [`catalog`] tell a node what they can do
//! without starting a host.

#![warn(missing_docs, unreachable_pub)]

mod arguments;
mod capture;
pub mod command;
mod ended;
pub mod file;
pub mod http;
pub mod mcp;
pub mod ssh;

use impresario_adapter::{Adapter, Manifest};

pub use command::Command;
pub use file::File;
pub use http::Http;
pub use mcp::Mcp;
pub use ssh::Ssh;

/// The names of the built-in adapters.
pub fn names() -> &'static [&'static str] {
    &["command", "file", "http", "ssh"]
}

/// The built-in adapter of that name, ready to be served.
pub fn builtin(name: &str) -> Option<Box<dyn Adapter>> {
    match name {
        "command" => Some(Box::new(Command::new())),
        "file" => Some(Box::new(File::new())),
        "http" => Some(Box::new(Http::new())),
        "ssh" => Some(Box::new(Ssh::new())),
        _ => None,
    }
}

/// What the built-in adapters can do.
pub fn manifests() -> Vec<Manifest> {
    vec![command::manifest(), file::manifest(), http::manifest(), ssh::manifest()]
}

/// A function that definitions call by a name of the default catalog, such as `command:1.0.0@default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its name in the catalog.
    pub name: &'static str,
    /// Its version in the catalog.
    pub version: &'static str,
    /// The adapter that does it.
    pub adapter: &'static str,
    /// The adapter's name for it.
    pub function: &'static str,
}

/// What the built-in adapters add to the default catalog. Their other functions have words of their own in the
/// language: `call: http` is the function `request` of `http` (of
/// which `http-request` gives all arguments), and `run: shell` the function `shell` of `command`.
pub fn catalog() -> &'static [CatalogEntry] {
    &[
        CatalogEntry { name: "command", version: "1.0.0", adapter: "command", function: "run" },
        CatalogEntry { name: "script", version: "1.0.0", adapter: "command", function: "script" },
        CatalogEntry { name: "file-read", version: "1.0.0", adapter: "file", function: "file-read" },
        CatalogEntry { name: "file-write", version: "1.0.0", adapter: "file", function: "file-write" },
        CatalogEntry { name: "file-append", version: "1.0.0", adapter: "file", function: "file-append" },
        CatalogEntry { name: "file-move", version: "1.0.0", adapter: "file", function: "file-move" },
        CatalogEntry { name: "file-delete", version: "1.0.0", adapter: "file", function: "file-delete" },
        CatalogEntry { name: "file-list", version: "1.0.0", adapter: "file", function: "file-list" },
        CatalogEntry { name: "echo", version: "1.0.0", adapter: "command", function: "echo" },
        CatalogEntry { name: "http-request", version: "1.0.0", adapter: "http", function: "request" },
        CatalogEntry { name: "http-send-event", version: "1.0.0", adapter: "http", function: "send-event" },
        CatalogEntry { name: "ssh-run", version: "1.0.0", adapter: "ssh", function: "ssh-run" },
        CatalogEntry { name: "ssh-script", version: "1.0.0", adapter: "ssh", function: "ssh-script" },
        CatalogEntry { name: "ssh-put", version: "1.0.0", adapter: "ssh", function: "ssh-put" },
        CatalogEntry { name: "ssh-get", version: "1.0.0", adapter: "ssh", function: "ssh-get" },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_exists() {
        let manifests = manifests();
        for name in names() {
            let adapter = builtin(name).unwrap();
            let known = manifests.iter().find(|manifest| manifest.adapter == *name).unwrap();
            assert_eq!(adapter.manifest(), *known);
        }
        assert!(builtin("carrier-pigeon").is_none());
        for entry in catalog() {
            let manifest = manifests.iter().find(|manifest| manifest.adapter == entry.adapter).unwrap();
            assert_eq!(manifest.function(entry.function).unwrap().version, entry.version);
        }
    }
}
