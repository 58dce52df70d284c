//! The built-in adapters of Impresario: command and http.
