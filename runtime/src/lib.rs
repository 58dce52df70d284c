//! Impresario: a process orchestrator for IT operations that stays up.
