//! `tree`: the live actors.

use std::process::ExitCode;

use super::args::Global;
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{FAINT, HEADING, of_status};
use crate::orchestrator::TreeNode;

/// A tree of supervisors is flat; deeper is a mistake, and is cut.
const DEPTH_LIMIT: usize = 32;

pub(super) async fn tree(global: &Global, client: &Client) -> Result<ExitCode, CliError> {
    let tree: TreeNode = client.get("/api/v1/tree").await?;
    page::print(global, &tree, render_tree)
}

/// The page of `tree`.
pub fn render_tree(tree: &TreeNode) -> String {
    let mut lines = vec![label(tree, true)];
    push_children(&mut lines, tree, "", 0);
    lines.push(String::new());
    lines.join("\n")
}

fn label(node: &TreeNode, root: bool) -> String {
    let style = of_status(&node.state);
    let name = if root { format!("{HEADING}{}{HEADING:#}", node.name) } else { node.name.clone() };
    let facts = match node.facts.is_empty() {
        true => String::new(),
        false => format!("  {FAINT}{}{FAINT:#}", node.facts.join(" · ")),
    };
    format!("{name}  {style}{}{style:#}{facts}", node.state)
}

fn push_children(lines: &mut Vec<String>, node: &TreeNode, indent: &str, depth: usize) {
    let last = node.children.len().checked_sub(1).filter(|_| node.more == 0);
    for (index, child) in node.children.iter().enumerate() {
        let (branch, below) = if Some(index) == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{FAINT}{indent}{branch}{FAINT:#}{}", label(child, false)));
        if depth < DEPTH_LIMIT {
            push_children(lines, child, &format!("{indent}{below}"), depth + 1);
        }
    }
    if node.more > 0 {
        lines.push(format!("{FAINT}{indent}└─ … {} more{FAINT:#}", node.more));
    }
}
