//! The texts of the specification, where the checkout has them beside it.

use std::fs;
use std::path::PathBuf;

use impresario_model::language::compile;

use super::{catalog, lines};

fn specification(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: the specification is not beside the workspace");
    None
}

fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let Some(path) = specification(folder) else { return Vec::new() };
    let mut files: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Compiles all, and names every one that is refused.
fn check(documents: impl Iterator<Item = (String, String)>) -> usize {
    let mut refused = Vec::new();
    let mut count = 0;
    for (name, source) in documents {
        count += 1;
        if let Err(found) = compile(&source, &catalog()) {
            refused.push(format!("{name}\n{}", lines(&found)));
        }
    }
    assert!(refused.is_empty(), "{} of {count} refused:\n{}", refused.len(), refused.join("\n\n"));
    count
}

#[test]
fn the_examples_compile() {
    check(files("examples", "yaml").into_iter());
}

#[test]
fn the_definitions_of_the_conformance_kit_compile() {
    let features = files("ctk", "feature");
    let documents = features.iter().flat_map(|(name, feature)| {
        let feature = gherkin::Feature::parse(feature, gherkin::GherkinEnv::default()).unwrap();
        let name = name.clone();
        feature.scenarios.into_iter().filter_map(move |scenario| {
            let step = scenario.steps.iter().find(|step| step.value.contains("workflow with definition"))?;
            // The parser keeps the media type of a docstring as its first line, and the indentation.
            let text = step.docstring.as_ref()?;
            let text: Vec<&str> = text.lines().skip_while(|line| !line.contains("document:")).collect();
            let indentation = text.first()?.find("document:")?;
            let lines = text.iter().map(|line| line.get(indentation..).unwrap_or_default());
            Some((format!("{name}: {}", scenario.name), lines.collect::<Vec<_>>().join("\n")))
        })
    });
    let count = check(documents);
    assert!(features.is_empty() || count == 21, "found {count} scenarios");
}

#[test]
fn the_documents_of_the_reference_compile() {
    let documents = files(".", "md").into_iter().filter(|(name, _)| name.ends_with("dsl-reference.md"));
    let blocks = documents.flat_map(|(name, text)| {
        let blocks: Vec<_> = text
            .split("```yaml")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .filter(|block| block.contains("\ndocument:") && block.contains("\ndo:"))
            .map(str::to_owned)
            .collect();
        blocks.into_iter().enumerate().map(move |(index, block)| (format!("{name} block {index}"), block))
    });
    check(blocks);
}
