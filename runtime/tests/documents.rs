//! What is shipped for people to read and to run holds: the quickstart, definitions in pages, links between pages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use impresario::{node, pack};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every page at the root and in `docs`.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    let pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// The blocks of a page in a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_quickstart_compiles_and_runs_all_that_it_says() {
    let pack = pack::load(&root().join("packs/quickstart")).unwrap();
    let definitions = pack::compile(&pack, &node::builtin_catalog())
        .unwrap_or_else(|files| panic!("{}", pack::describe(&files)));
    assert_eq!(definitions.len(), 3);
    for definition in &definitions {
        assert_eq!(node::unsupported(definition), Vec::<String>::new(), "{}", definition.id);
    }
}

#[test]
fn definitions_in_pages_compile() {
    let mut seen = 0;
    for (path, page) in pages() {
        for source in blocks(&page, "yaml").into_iter().filter(|block| block.starts_with("document:")) {
            seen += 1;
            if let Err(found) = impresario_model::language::compile(source, &node::builtin_catalog()) {
                panic!("{}: {found:?}", path.display());
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn data_in_pages_is_json() {
    for (path, page) in pages() {
        for line in blocks(&page, "json").iter().flat_map(|block| block.lines()) {
            let read = serde_json::from_str::<serde_json::Value>(line);
            assert!(read.is_ok(), "{}: {line}", path.display());
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for (path, page) in pages() {
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap();
            assert!(path.parent().unwrap().join(file).exists(), "{}: {target}", path.display());
        }
    }
}
