//! What an adapter of Impresario is: the trait, the wire protocol, the host loop.
