//! The reference page of all settings, made from the table.

use std::fmt::Write;

use crate::settings::SETTINGS;
use crate::source::variable_of;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `impresario config --reference`; edit the table in config/src/settings.rs instead. -->

Every setting has a default, so a node runs without any. The sources, each over the one before: the default,
the file, the environment, the flags. `impresario config` prints every value in force and where it came from.

- **The file** is the one that `--config FILE` or `IMPRESARIO_CONFIG` names, else `impresario.toml` in the working
  folder if there is one. It is TOML: `http.listen` is `listen` in the section `[http]`. A key that does not exist is
  an error.
- **The environment**: `http.listen` is `IMPRESARIO_HTTP_LISTEN`.
- **The flags**: `--set http.listen=127.0.0.1:8080`; `--listen` and `--data` are short for the two used most.

Durations are written as `500ms`, `10s`, `5m`, `2h`, `7days`; sizes as `64KiB`, `1MiB`, `500MB`.
";

/// The page `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut section = None;
    for setting in SETTINGS {
        let own = setting.key.split_once('.').map(|(section, _)| section);
        if own != section || page.len() == INTRODUCTION.len() {
            section = own;
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "\n## {}\n",
                section.map_or_else(|| "Top level".to_owned(), |name| format!("`[{name}]`"))
            );
        }
        let doc = setting.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        let _ = write!(
            page,
            "\n### `{}`\n{doc}\n\nExpects {}. Default: `{}`. Variable: `{}`.\n",
            setting.key,
            setting.expected,
            setting.default,
            variable_of(setting.key)
        );
    }
    page
}
