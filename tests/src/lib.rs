//! System tests of Impresario against the real binary; support and benchmarks.
