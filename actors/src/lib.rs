//! The actors of Impresario: supervision, shards, processes, triggers, adapter hosts.
