//! Every setting of Impresario: typed, from one file, with environment and flags on top.
