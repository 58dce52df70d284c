//! Texts that nobody writes in good faith.
