//! Precedence, unknown keys and bad values, as tables.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use impresario_config::{
    ConfigError, Loaded, Origin, Override, SETTINGS, Sources, StoreKind, load, reference, variable_of,
};

/// Loads with a file of the given text, variables and flags.
fn load_all(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, file).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let flag = |(key, value): &(&str, &str)| Override {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        flag: "--set".to_owned(),
    };
    load(&Sources {
        file: Some(path),
        variables: variables.iter().map(owned).collect(),
        flags: flags.iter().map(flag).collect(),
    })
}

/// The only problem of a file, without the folder of the file.
fn problem(file: &str) -> String {
    let error = load_all(file, &[], &[]).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    let text = error.to_string();
    text[text.find("settings.toml").unwrap_or(0)..].to_owned()
}

#[test]
fn defaults_are_all_valid_and_mean_what_they_say() {
    let loaded = load_all("", &[], &[]).unwrap();
    let config = loaded.config;
    assert_eq!(config.environment.as_str(), "PRODUCTION");
    assert_eq!(config.data, Path::new("impresario-data"));
    assert_eq!(config.store.kind, StoreKind::Embedded);
    assert_eq!(config.store.shards, 16);
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:4747");
    assert!(config.http.listen.ip().is_loopback(), "nobody else gets in unless asked for");
    assert_eq!(config.http.body_limit.0, 1 << 20);
    assert_eq!(config.engine.checkpoint_interval, Duration::from_secs(2));
    assert_eq!(config.engine.retention, Duration::from_secs(7 * 86_400));
    assert_eq!(config.engine.dedup_limit, 65_536);
    assert_ne!(config.node.name.as_str(), "auto", "auto is the host name");
    assert_eq!(loaded.effective.len(), SETTINGS.len());
    assert!(loaded.effective.iter().all(|effective| effective.origin == Origin::Default));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let file = "environment = 'A'\n[http]\nbody_limit = '2MiB'\n[store]\nshards = 8\nkind = 'memory'\n";
    let variables =
        [("IMPRESARIO_STORE_SHARDS", "32"), ("IMPRESARIO_HTTP_BODY_LIMIT", "3MiB"), ("PATH", "/bin")];
    let loaded = load_all(file, &variables, &[("http.body_limit", "4MiB")]).unwrap();
    assert_eq!(loaded.config.environment.as_str(), "A");
    assert_eq!(loaded.config.store.kind, StoreKind::Memory);
    assert_eq!(loaded.config.store.shards, 32);
    assert_eq!(loaded.config.http.body_limit.0, 4 << 20);

    let origin =
        |key: &str| loaded.effective.iter().find(|one| one.setting.key == key).unwrap().origin.to_string();
    assert!(origin("environment").ends_with("settings.toml:1:15"), "{}", origin("environment"));
    assert!(origin("store.kind").ends_with("settings.toml:6:8"), "{}", origin("store.kind"));
    assert_eq!(origin("store.shards"), "env IMPRESARIO_STORE_SHARDS");
    assert_eq!(origin("http.body_limit"), "flag --set");
    assert_eq!(origin("data"), "default");
}

#[test]
fn a_mistake_in_the_file_names_its_place_and_the_way_out() {
    let table = [
        (
            "[http]\nlistn = 'x'",
            "settings.toml:2:1: unknown setting 'http.listn', did you mean 'http.listen'?",
        ),
        (
            "  enviroment = 'x'",
            "settings.toml:1:3: unknown setting 'enviroment', did you mean 'environment'?",
        ),
        ("[htp]\nlisten = 'x'", "settings.toml:1:2: unknown setting 'htp', did you mean 'http'?"),
        ("http = 3", "settings.toml:1:1: unknown setting 'http': it is a section, write [http]"),
        ("[engine]\nzebra = 1", "settings.toml:2:1: unknown setting 'engine.zebra'"),
        (
            "[engine]\nidle_after = 5",
            "settings.toml:2:14: 'engine.idle_after': expected a duration such as 500ms, 10s, 5m, 2h or 7days, found '5'",
        ),
        (
            "[engine]\nretention = '2M'",
            "settings.toml:2:13: 'engine.retention': expected a duration such as 500ms, 10s, 5m, 2h or 7days, found '2M'",
        ),
        (
            "[http]\nbody_limit = '1 parsec'",
            "settings.toml:2:14: 'http.body_limit': expected a size such as 64KiB, 1MiB or 500MB, found '1 parsec'",
        ),
        (
            "[store]\nkind = 'rocks'",
            "settings.toml:2:8: 'store.kind': expected embedded, redis or memory, found 'rocks'",
        ),
        ("[store]\nshards = 0", "settings.toml:2:10: 'store.shards': expected 1 to 4096, found 0"),
        ("[store]\nshards = -1", "settings.toml:2:10: 'store.shards': expected a whole number, found '-1'"),
        (
            "[store]\nshards = [1]",
            "settings.toml:2:10: 'store.shards': expected a string or a number, found a array",
        ),
        (
            "[http]\nrequest_timeout = '1ms'",
            "settings.toml:2:19: 'http.request_timeout': expected 1s to 1day, found 1ms",
        ),
        (
            "environment = '../x'",
            "settings.toml:1:15: 'environment': expected a name of 1 to 64 letters, digits, '-', '_' or '.', found '../x'",
        ),
    ];
    for (file, expected) in table {
        assert_eq!(problem(file), expected);
    }
    assert!(problem("[http\nlisten = 1").starts_with("settings.toml:1:6: expected TOML, found a mistake"));
    assert!(
        problem("[http]\nbody_limit = '32MiB'")
            .contains("a quarter of store.segment_size (64MiB), found 32MiB")
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let error =
        load_all("[store]\nshards = 'x'\nkindd = 1", &[("IMPRESARIO_NODE_NAME", "a b")], &[("daat", "x")])
            .unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
}

#[test]
fn variables_are_checked_by_name_but_for_what_platforms_inject() {
    let error = load_all("", &[("IMPRESARIO_HTTP_LISTN", "x")], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "env IMPRESARIO_HTTP_LISTN: unknown setting, did you mean 'IMPRESARIO_HTTP_LISTEN'?"
    );
    let injected = [
        ("IMPRESARIO_SERVICE_HOST", "10.0.0.1"),
        ("IMPRESARIO_PORT_4747_TCP", "tcp://x"),
        ("IMPRESARIO_TOKEN", "t"),
    ];
    load_all("", &injected, &[]).unwrap();
}

#[test]
fn a_named_file_has_to_be_there() {
    let error = load(&Sources { file: Some("no/such/file.toml".into()), ..Sources::default() }).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such/file.toml: expected a readable file of settings (named by --config)")
    );
    let variables = vec![("IMPRESARIO_CONFIG".to_owned(), "no/such/other.toml".to_owned())];
    let error = load(&Sources { variables, ..Sources::default() }).unwrap_err();
    assert!(error.to_string().starts_with("no/such/other.toml: "), "{error}");
}

#[test]
fn durations_and_sizes_read_as_people_write_them() {
    let duration =
        |text| load_all("", &[("IMPRESARIO_ENGINE_RETENTION", text)], &[]).map(|l| l.config.engine.retention);
    for (text, seconds) in [("7d", 604_800), ("1h 30m", 5_400), ("90s", 90), ("2days", 172_800)] {
        assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
    }
    for text in ["", "1", "1y", "1month", "3M", "-1s", "soon"] {
        duration(text).unwrap_err();
    }
    let size =
        |text| load_all("", &[("IMPRESARIO_HTTP_BODY_LIMIT", text)], &[]).map(|l| l.config.http.body_limit.0);
    for (text, bytes) in
        [("4096", 4096), ("64KiB", 65_536), ("64 kib", 65_536), ("1MB", 1_000_000), ("1_024B", 1024)]
    {
        assert_eq!(size(text).unwrap(), bytes, "{text}");
    }
    for text in ["", "MiB", "-1", "1.5MiB", "99999999999999999999", "18446744073709551615GiB"] {
        size(text).unwrap_err();
    }
}

#[test]
fn every_setting_is_documented_and_has_a_variable_of_its_own() {
    let mut variables: Vec<String> = SETTINGS.iter().map(|setting| variable_of(setting.key)).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), SETTINGS.len(), "two keys share a variable");
    for setting in SETTINGS {
        assert!(setting.doc.trim().len() > 20, "{} says what it is for", setting.key);
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page == reference(), "run: cargo run -q -- config --reference > docs/configuration.md");
}
