//! The ledger: what the activities say of themselves, outside of the nodes.

use std::collections::BTreeMap;
use std::path::Path;

/// What the ledger holds of one activity of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The idempotency keys that it was started with.
    pub keys: Vec<String>,
    /// The tokens of the attempts that began, in order.
    pub begun: Vec<String>,
    /// The tokens of the attempts that ended.
    pub ended: Vec<String>,
}

/// By order and task.
pub type Ledger = BTreeMap<(String, String), Work>;

/// Reads the ledger; a line that is not whole is a mistake of the ledger.
pub fn read(path: &Path) -> Ledger {
    // None has run yet if it is not there.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut ledger = Ledger::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, order, task, key, token, _attempt] = words.as_slice() else {
            panic!("expected a line of six words in the ledger, found '{line}'");
        };
        let work = ledger.entry(((*order).to_owned(), (*task).to_owned())).or_default();
        if !work.keys.iter().any(|known| known == key) {
            work.keys.push((*key).to_owned());
        }
        match *what {
            "begin" => work.begun.push((*token).to_owned()),
            "end" => work.ended.push((*token).to_owned()),
            other => panic!("expected begin or end in the ledger, found '{other}'"),
        }
    }
    ledger
}
