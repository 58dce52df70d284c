//! Rules of the workspace that the compiler does not know: arrows between crates, bans, headers, documents.
//!
//! Each test collects everything that breaks its rule and tells it at once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Our own crates that each crate may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("impresario-config", &[]),
    ("impresario-persistence", &[]),
    ("impresario-model", &[]),
    ("impresario-adapter", &[]),
    ("impresario-adapters", &["impresario-adapter"]),
    ("impresario-adapter-check", &["impresario-adapter"]),
    ("impresario-actors", &["impresario-model", "impresario-persistence", "impresario-adapter"]),
    (
        "impresario",
        &[
            "impresario-config",
            "impresario-persistence",
            "impresario-model",
            "impresario-adapter",
            "impresario-adapters",
            "impresario-adapter-check",
            "impresario-actors",
        ],
    ),
    (
        "impresario-tests",
        &[
            "impresario",
            "impresario-config",
            "impresario-persistence",
            "impresario-model",
            "impresario-adapter",
            "impresario-adapters",
            "impresario-actors",
            "impresario-test-servers",
        ],
    ),
    ("impresario-test-servers", &[]),
];

/// Arrows of tests alone, and the reason for each.
const TEST_ARROWS: &[(&str, &str)] = &[
    // The sweeps over crash points compile scenarios that call the functions of the built-in adapters.
    ("impresario-actors", "impresario-adapters"),
    // The built-in adapters keep to the protocol.
    ("impresario-adapter-check", "impresario-adapters"),
    // The Redis store passes its conformance suite on a real server.
    ("impresario-persistence", "impresario-test-servers"),
    // The adapters meet servers with certificates.
    ("impresario-adapters", "impresario-test-servers"),
    // The TCP door is opened with certificates.
    ("impresario", "impresario-test-servers"),
];

/// Libraries that only some crates may build upon; tests of others may.
const BANS: &[(&str, &[&str])] = &[
    ("ractor", &["impresario-actors", "impresario"]),
    ("axum", &["impresario", "impresario-tests"]),
    ("hyper", &["impresario", "impresario-tests"]),
    ("hyper-util", &["impresario", "impresario-tests"]),
    ("tower-http", &["impresario"]),
    ("redis", &["impresario-persistence"]),
    ("rusqlite", &["impresario-persistence"]),
    ("jaq-core", &["impresario-model"]),
    ("clap", &["impresario"]),
];

/// A file beyond this holds more than one idea. Tests apart, most are far shorter.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".into()])
        .exec()
        .unwrap()
}

/// Every file that git has or would add, with its text; nothing else is part of the tree.
fn files(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let list = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(list.status.success(), "expected a git work tree: {}", String::from_utf8_lossy(&list.stderr));
    let names = String::from_utf8(list.stdout).unwrap();
    let wanted = |path: &Path| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        extensions.contains(&extension.unwrap_or_default().as_str())
    };
    let paths = names.lines().map(PathBuf::from).filter(|path| wanted(path));
    // One that was deleted and not committed yet is listed too.
    let mut files: Vec<_> = paths
        .filter_map(|path| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text)))
        .collect();
    files.sort();
    files.dedup();
    assert!(!files.is_empty());
    files
}

fn nothing(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

#[test]
fn crates_depend_on_each_other_along_the_allowed_arrows_only() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(own) = allowed.get(package.name.as_str()) else {
            wrong.push(format!("{} has no row in ARROWS", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|one| one.name.starts_with("impresario")) {
            let test = dependency.kind == DependencyKind::Development;
            let of_tests = TEST_ARROWS.contains(&(package.name.as_str(), dependency.name.as_str()));
            if !(own.contains(&dependency.name.as_str()) || test && of_tests) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    nothing(&wrong, "forbidden arrows (see ARCHITECTURE.md)");
}

#[test]
fn libraries_are_named_where_they_belong_only() {
    let mut wrong = Vec::new();
    for package in metadata().workspace_packages() {
        for dependency in &package.dependencies {
            let Some((_, may)) = BANS.iter().find(|(name, _)| *name == dependency.name) else { continue };
            if dependency.kind == DependencyKind::Normal && !may.contains(&package.name.as_str()) {
                wrong.push(format!("{} depends on {}", package.name, dependency.name));
            }
        }
    }
    nothing(&wrong, "libraries outside of their crates");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut wrong = Vec::new();
    for package in metadata().workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path).unwrap();
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(package.manifest_path.to_string());
        }
    }
    nothing(&wrong, "crates without the lints of the workspace");
}

#[test]
fn every_rust_file_begins_with_what_it_is() {
    let headless = |(path, text): &(PathBuf, String)| {
        (!text.trim_start().starts_with("//!")).then(|| path.display().to_string())
    };
    let wrong: Vec<String> = files(&["rs"]).iter().filter_map(headless).collect();
    nothing(&wrong, "files without a `//!` header in their first line");
}

#[test]
fn no_file_grows_beyond_its_ceiling() {
    let long = |(path, text): &(PathBuf, String)| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
    };
    let wrong: Vec<String> = files(&["rs", "py", "sh", "jq"]).iter().filter_map(long).collect();
    nothing(&wrong, &format!("files of more than {LINES_MAX} lines"));
}

#[test]
fn no_test_is_set_aside() {
    // Put together here, so that this file does not find itself.
    let words = [["#[", "ignore"].concat(), ["should", "_panic"].concat(), ["thread::", "sleep"].concat()];
    let mut wrong = Vec::new();
    for (path, text) in files(&["rs"]) {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    nothing(&wrong, "tests that are ignored, expect a panic or sleep");
}

#[test]
fn every_setting_is_documented_and_on_the_reference_page() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut wrong = Vec::new();
    for setting in impresario_config::SETTINGS {
        if setting.doc.split_whitespace().count() < 3 {
            wrong.push(format!("{}: its doc says nothing", setting.key));
        }
        if !page.contains(&format!("### `{}`", setting.key)) {
            wrong.push(format!("{}: missing on docs/configuration.md", setting.key));
        }
    }
    nothing(&wrong, "settings without documentation");
}

/// Words in backticks that look like a path of this tree: with a folder of ours in front.
fn paths_named(text: &str) -> Vec<String> {
    const FOLDERS: [&str; 9] =
        ["actors/", "adapters/", "config/", "docs/", "packs/", "persistence/", "runtime/", "tests/", ".ci/"];
    let spans = text.split('`').skip(1).step_by(2);
    let path = |span: &str| {
        let span = span.trim_start_matches("./").split([':', '#', ' ']).next().unwrap_or_default().to_owned();
        let plain = !span.contains(['*', '<', '…', '{', '$']) && !span.contains("NAME");
        (plain && FOLDERS.iter().any(|folder| span.starts_with(folder))).then_some(span)
    };
    spans.filter_map(path).collect()
}

/// The targets of links in Markdown that are paths.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':')).map(str::to_owned).collect()
}

#[test]
fn documents_name_only_paths_that_exist() {
    let mut wrong = Vec::new();
    for (document, text) in files(&["md"]) {
        for path in paths_named(&text) {
            if !root().join(&path).exists() {
                wrong.push(format!("{} names `{path}`", document.display()));
            }
        }
        let folder = root().join(document.parent().unwrap());
        for path in links(&text) {
            if !folder.join(&path).exists() {
                wrong.push(format!("{} links to {path}", document.display()));
            }
        }
    }
    nothing(&wrong, "paths that do not exist");
}

#[test]
fn nothing_tells_of_one_machine() {
    // Put together here, so that this file does not find itself.
    let words = [["/ho", "me/"], ["/wo", "rk/"], ["/ro", "ot/"], ["/Use", "rs/"], ["C:", "\\\\"]]
        .map(|parts| parts.concat());
    let mut wrong = Vec::new();
    for (path, text) in files(&["rs", "md", "toml", "yaml", "yml", "sh", "py", "jq", "json", "service"]) {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    nothing(&wrong, "paths of one machine");
}
