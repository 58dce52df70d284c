//! Data folders, settings and addresses that a node cannot use.

use std::fs;
use std::net::TcpListener;

use impresario_tests::cli;
use impresario_tests::node::{Node, Place};
use serde_json::json;

use super::{GREET, works};

/// Starts a node that has to give up with this code and these words.
async fn gives_up(place: &Place, code: i32, words: &[&str]) {
    let before = place.log().len();
    let mut process = place.spawn();
    let status = process.ended().await;
    let said = place.log().split_off(before);
    assert_eq!(status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "expected '{word}' in:\n{said}");
    }
}

#[tokio::test]
async fn a_second_node_on_the_same_folder_is_turned_away() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    let pid = format!("process {}", node.process.pid());
    gives_up(&place, 1, &["in use", &pid]).await;
    // The first one is still the one that the folder names.
    works(&node, "first").await;
    let asked = cli::run(place.path(), &["--data", place.data().to_str().unwrap(), "--json", "ps"]).done();
    assert_eq!(asked.json()["items"].as_array().unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    works(&node, "before").await;
    node.stop().await;
    let file = place.data().join("FORMAT");
    let format = fs::read_to_string(&file).unwrap();
    fs::write(&file, format.replace("format 1", "format 99")).unwrap();
    let state = fs::read(place.data().join("state.db")).unwrap();
    gives_up(&place, 1, &["format 99", "newer impresario"]).await;
    assert_eq!(fs::read(place.data().join("state.db")).unwrap(), state, "it was written to");
    fs::write(&file, format).unwrap();
    let node = place.start().await;
    assert_eq!(node.api.instances("status=completed").await.unwrap().len(), 1);
    works(&node, "after").await;
    node.stop().await;
}

#[tokio::test]
async fn a_damaged_log_is_reported_and_repaired_on_request() {
    let place = Place::new().define("greet", GREET).set("engine.checkpoint_interval", "1day");
    let node = place.start().await;
    works(&node, "before").await;
    node.kill().await;
    let folder = place.data().join("log");
    let mut segments: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let first = &segments[0];
    let mut bytes = fs::read(first).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 0xFF;
    fs::write(first, &bytes).unwrap();
    gives_up(&place, 1, &[first.file_name().unwrap().to_str().unwrap(), "repair"]).await;
    let data = place.data().to_str().unwrap();
    let repaired = cli::run(place.path(), &["--data", data, "--json", "repair"]);
    assert!(repaired.json()["kept"].as_u64().is_some(), "{repaired:?}");
    let node = place.start().await;
    works(&node, "after").await;
    node.stop().await;
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_named_with_the_nearest_one() {
    let place = Place::new().set("http.lisen", "127.0.0.1:0");
    gives_up(&place, 64, &["http.lisen", "http.listen"]).await;
    let place = Place::new();
    place.write("impresario.toml", "[engine]\nretention = '1day'\nchekpoint_interval = '1s'\n");
    gives_up(&place, 64, &["impresario.toml:3:1", "chekpoint_interval", "engine.checkpoint_interval"]).await;
    assert!(!place.data().exists(), "settings are read before anything is made");
    let place = Place::new().set("engine.retention", "soon");
    gives_up(&place, 64, &["engine.retention", "soon", "7days"]).await;
    let ended = cli::run_with(place.path(), &["config"], &[("IMPRESARIO_HTTP_LISEN", "x")]);
    ended.failed(64, &["IMPRESARIO_HTTP_LISEN", "IMPRESARIO_HTTP_LISTEN"]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_before_anything_is_claimed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new().define("greet", GREET).set("http.listen", &address);
    gives_up(&place, 1, &[&address, "http.listen", "another port"]).await;
    drop(taken);
    let place = Place::new().define("greet", GREET);
    fs::write(place.path().join("data"), "not a folder").unwrap();
    gives_up(&place, 1, &["data"]).await;
}

async fn started(node: &Node, key: &str) -> (String, bool) {
    let started = node.api.start("test/greet", json!({ "name": key }), Some(key)).await.unwrap();
    (started.id, started.created)
}

#[tokio::test]
async fn a_key_means_the_same_after_a_crash() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    let (first, created) = started(&node, "order-1").await;
    assert!(created);
    node.kill().await;
    let node = place.start().await;
    assert_eq!(started(&node, "order-1").await, (first, false));
    let other = node.api.start("test/greet", json!({ "name": "other" }), Some("order-1")).await;
    assert!(format!("{other:?}").contains("409"), "{other:?}");
    node.stop().await;
}
