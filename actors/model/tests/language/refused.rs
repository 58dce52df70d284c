//! Wrong documents, and what is said about them.
