//! What can be folded: the tree of actors, and values in JSON. A tree of branches becomes a list of lines.

use std::collections::HashSet;

use serde_json::Value;

use super::table::Cell;
use super::text;
use crate::cli::style::{ACTIVE, FAINT, GOOD, HEADING, PAUSED};
use crate::orchestrator::TreeNode;

/// More branches than this are not shown; what is left out is told.
const BRANCHES_MOST: usize = 20_000;

/// A branch of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    /// Its name among its siblings.
    pub(super) key: String,
    /// What it says.
    pub(super) label: Vec<Cell>,
    /// The actor that it is.
    pub(super) actor: Option<String>,
    /// What is below it.
    pub(super) children: Vec<Branch>,
    /// Whether that is shown unless somebody folds it.
    pub(super) open: bool,
}

impl Branch {
    /// One with a name and what there is to say of it.
    pub(super) fn new(key: impl Into<String>, label: Vec<Cell>) -> Branch {
        Branch { key: key.into(), label, ..Branch::default() }
    }

    /// A name and a text.
    pub(super) fn fact(name: &str, text: impl AsRef<str>) -> Branch {
        Branch::new(name, vec![Cell::faint(name), Cell::new(text)])
    }

    /// A heading over others.
    pub(super) fn group(name: &str, open: bool, children: Vec<Branch>) -> Branch {
        let count = Cell::faint(children.len().to_string());
        Branch { children, open, ..Branch::new(name.to_owned(), vec![Cell::styled(name, HEADING), count]) }
    }
}

/// One line of a tree that is unfolded as far as somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The keys from the root.
    pub(super) path: String,
    pub(super) depth: usize,
    /// Whether it is open, if there is something below it.
    pub(super) open: Option<bool>,
    pub(super) label: Vec<Cell>,
    pub(super) actor: Option<String>,
}

/// The lines of some branches: `folds` has the paths that are not as they are by themselves. With a filter, those that have
/// its text, and whatever they are below.
pub(super) fn lines(branches: &[Branch], folds: &HashSet<String>, filter: &str) -> Vec<Line> {
    let filter = filter.to_lowercase();
    let mut lines = Vec::new();
    for branch in branches {
        push(&mut lines, branch, "", 0, folds, &filter);
    }
    lines
}

/// Adds a branch, and tells whether it has passed the filter.
fn push(
    lines: &mut Vec<Line>,
    branch: &Branch,
    above: &str,
    depth: usize,
    folds: &HashSet<String>,
    filter: &str,
) -> bool {
    let path = format!("{above}\u{1}{}", branch.key);
    let itself =
        filter.is_empty() || branch.label.iter().any(|cell| cell.text.to_lowercase().contains(filter));
    let open = branch.open != folds.contains(&path);
    let at = lines.len();
    lines.push(Line {
        path: path.clone(),
        depth,
        open: (!branch.children.is_empty()).then_some(open),
        label: branch.label.clone(),
        actor: branch.actor.clone(),
    });
    // What is below one that passes is shown as it is folded; below another one, only what passes.
    let below_filter = if itself && !filter.is_empty() && open { "" } else { filter };
    let mut below = false;
    if open || !filter.is_empty() {
        for child in &branch.children {
            below |= push(lines, child, &path, depth + 1, folds, below_filter);
        }
    }
    if !itself && !below {
        lines.truncate(at);
        return false;
    }
    if !filter.is_empty() && lines.len() > at + 1 {
        lines[at].open = Some(true);
    }
    true
}

/// Every path that can be folded, with whether it is open by itself.
pub(super) fn foldable(branches: &[Branch]) -> Vec<(String, bool)> {
    fn walk(found: &mut Vec<(String, bool)>, branch: &Branch, above: &str) {
        if branch.children.is_empty() {
            return;
        }
        let path = format!("{above}\u{1}{}", branch.key);
        for child in &branch.children {
            walk(found, child, &path);
        }
        found.push((path, branch.open));
    }
    let mut found = Vec::new();
    branches.iter().for_each(|branch| walk(&mut found, branch, ""));
    found
}

/// The tree of actors. Shards are folded unless something is wrong in one, so that all nodes have room.
pub(super) fn of_tree(tree: &TreeNode) -> Branch {
    let mut left = BRANCHES_MOST;
    actors(tree, &mut left)
}

fn actors(node: &TreeNode, left: &mut usize) -> Branch {
    let mut children: Vec<Branch> = Vec::new();
    let mut more = node.more;
    for child in &node.children {
        if *left == 0 {
            more += 1;
            continue;
        }
        *left -= 1;
        children.push(actors(child, left));
    }
    if more > 0 {
        let words = format!("… {more} more: the Instances view has all, and `o` opens one by its id");
        children.push(Branch::new("more", vec![Cell::faint(words)]));
    }
    let is_shard = node.name.starts_with("shard ");
    let wrong = node.children.iter().any(|child| child.state == "quarantined");
    let name = if children.is_empty() { Cell::new(&node.name) } else { Cell::styled(&node.name, HEADING) };
    let mut label = vec![name, Cell::status(&node.state)];
    label.extend((!node.facts.is_empty()).then(|| Cell::faint(node.facts.join(" · "))));
    let is_actor = node.children.is_empty() && node.name.contains('/') && !node.name.contains(' ');
    Branch {
        key: node.name.clone(),
        label,
        actor: is_actor.then(|| node.name.clone()),
        children,
        open: !is_shard || wrong,
    }
}

/// A value under a name.
pub(super) fn of_value(name: &str, value: &Value, open: bool) -> Branch {
    let mut left = BRANCHES_MOST;
    member(name, value, open, &mut left)
}

fn member(name: &str, value: &Value, open: bool, left: &mut usize) -> Branch {
    let named = Cell::styled(name, FAINT);
    let nested = |kind: &str, children: Vec<Branch>| Branch {
        children,
        open,
        ..Branch::new(name, vec![Cell::styled(name, HEADING), Cell::faint(kind)])
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let children = some(members.iter(), members.len(), left, |(key, value), left| {
                member(key, value, open && small(value), left)
            });
            nested(&format!("{{{}}}", members.len()), children)
        }
        Value::Array(items) if !items.is_empty() => {
            let children = some(items.iter().enumerate(), items.len(), left, |(index, value), left| {
                member(&index.to_string(), value, open && small(value), left)
            });
            nested(&format!("[{}]", items.len()), children)
        }
        Value::String(text) => Branch::new(name, vec![named, Cell::styled(text, GOOD)]),
        Value::Number(_) => Branch::new(name, vec![named, Cell::styled(value.to_string(), ACTIVE)]),
        Value::Bool(_) | Value::Null => {
            Branch::new(name, vec![named, Cell::styled(value.to_string(), PAUSED)])
        }
        Value::Object(_) | Value::Array(_) => Branch::new(name, vec![named, Cell::faint(value.to_string())]),
    }
}

/// What is small is unfolded from the beginning.
fn small(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.len() <= 8,
        Value::Array(items) => items.len() <= 8,
        _ => true,
    }
}

fn some<T>(
    items: impl Iterator<Item = T>,
    count: usize,
    left: &mut usize,
    mut branch: impl FnMut(T, &mut usize) -> Branch,
) -> Vec<Branch> {
    let mut children = Vec::new();
    for item in items {
        if *left == 0 {
            let words = format!("… {} more", count - children.len());
            children.push(Branch::new("more", vec![Cell::faint(text::clean(&words))]));
            break;
        }
        *left -= 1;
        children.push(branch(item, left));
    }
    children
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(lines: &[Line]) -> Vec<String> {
        let fold = |line: &Line| match line.open {
            Some(true) => "-",
            Some(false) => "+",
            None => " ",
        };
        lines
            .iter()
            .map(|line| format!("{}{}{}", " ".repeat(line.depth), fold(line), line.label[0].text))
            .collect()
    }

    fn tree() -> Branch {
        let leaf = |name: &str| TreeNode {
            name: name.to_owned(),
            state: "waiting".to_owned(),
            ..TreeNode::default()
        };
        let shard = |number: u32, children: Vec<TreeNode>, more| TreeNode {
            name: format!("shard {number}"),
            children,
            more,
            ..TreeNode::default()
        };
        let shards = vec![
            shard(0, vec![leaf("process/a"), leaf("process/b")], 7),
            shard(1, vec![TreeNode { state: "quarantined".to_owned(), ..leaf("process/c") }], 0),
        ];
        of_tree(&TreeNode { name: "node one".to_owned(), children: shards, ..TreeNode::default() })
    }

    #[test]
    fn shards_are_folded_unless_something_is_wrong_in_one() {
        let branches = [tree()];
        let mut folds = HashSet::new();
        let shown = lines(&branches, &folds, "");
        assert_eq!(said(&shown), ["-node one", " +shard 0", " -shard 1", "   process/c"]);
        assert_eq!(shown[3].actor.as_deref(), Some("process/c"));
        folds.insert(shown[1].path.clone());
        folds.insert(shown[2].path.clone());
        let shown = lines(&branches, &folds, "");
        assert_eq!(
            said(&shown)[1..5],
            [
                " -shard 0",
                "   process/a",
                "   process/b",
                "   … 7 more: the Instances view has all, and `o` opens one by its id"
            ]
        );
        assert_eq!(said(&shown)[5], " +shard 1");
    }

    #[test]
    fn a_filter_finds_what_is_folded_and_shows_where_it_is() {
        let branches = [tree()];
        let folds = HashSet::new();
        assert_eq!(said(&lines(&branches, &folds, "PROCESS/B")), ["-node one", " -shard 0", "   process/b"]);
        assert_eq!(said(&lines(&branches, &folds, "shard 0")), ["-node one", " +shard 0"]);
        assert!(lines(&branches, &folds, "nowhere").is_empty());
    }

    #[test]
    fn values_of_any_depth_and_size_become_lines() {
        let value = json!({"a": {"b": [1, true, null, "text\u{1b}"]}, "c": [], "d": {}});
        let branches = [of_value("state", &value, true)];
        let shown = lines(&branches, &HashSet::new(), "");
        assert_eq!(said(&shown), ["-state", " -a", "  -b", "    0", "    1", "    2", "    3", "  c", "  d"]);
        assert_eq!(shown[6].label[1].text, "text·");

        let many = Value::Array((0..30_000).map(Value::from).collect());
        let branches = [of_value("state", &many, true)];
        let shown = lines(&branches, &HashSet::new(), "");
        assert_eq!(shown.len(), 1 + BRANCHES_MOST + 1);
        assert_eq!(shown.last().unwrap().label[0].text, "… 10000 more");
        assert!(!branches[0].children.is_empty() && foldable(&branches).len() == 1);
    }
}
