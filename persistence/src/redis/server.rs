//! Whether a server may hold an environment: its version, its role, and how it keeps what it is given.

use std::collections::HashMap;

use redis::Value;

use super::config::RedisConfig;
use super::library;
use super::live::{Live, Trouble};
use crate::StoreError;
use crate::port::{Keeping, Tier};

/// The first major version with functions.
const VERSION: u64 = 7;

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
struct Facts {
    version: String,
    append_only: bool,
    /// How often it flushes its append-only file; `None` when it does not tell.
    flush: Option<String>,
    eviction: String,
}

/// Checks a server and gives it our functions.
pub(super) async fn check(live: &Live, config: &RedisConfig) -> Result<Tier, Trouble> {
    let role = match live.ask(&redis::cmd("ROLE")).await.map_err(|trouble| rights(live, trouble))? {
        Value::Array(parts) => parts.into_iter().next().and_then(text).unwrap_or_default(),
        _ => String::new(),
    };
    if role != "master" {
        return Err(Trouble::Lost(format!(
            "{}:{} is a {role}, not a primary",
            live.address.0, live.address.1
        )));
    }
    let facts = ask(live).await?;
    let keeping = judge(&facts, config.keeping).map_err(|words| {
        Trouble::Refused(StoreError::Refused(format!("{}:{}: {words}", live.address.0, live.address.1)))
    })?;
    load(live).await?;
    Ok(Tier { keeping, replicas: config.replicas })
}

async fn ask(live: &Live) -> Result<Facts, Trouble> {
    let mut found = HashMap::new();
    for section in ["server", "persistence", "memory"] {
        let answer =
            live.ask(redis::cmd("INFO").arg(section)).await.map_err(|trouble| rights(live, trouble))?;
        let lines = text(answer).unwrap_or_default();
        let pairs = lines.lines().filter_map(|line| line.split_once(':'));
        found.extend(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
    }
    let take = |name: &str| found.get(name).cloned().unwrap_or_default();
    // Hosted servers often forbid CONFIG: then how they flush is not known.
    let flush = match live.ask(redis::cmd("CONFIG").arg("GET").arg("appendfsync")).await {
        Ok(answer) => {
            redis::from_redis_value::<Vec<String>>(answer).ok().and_then(|pair| pair.into_iter().nth(1))
        }
        Err(_) => None,
    };
    Ok(Facts {
        version: take("redis_version"),
        append_only: take("aof_enabled") == "1",
        flush,
        eviction: take("maxmemory_policy"),
    })
}

/// How a server keeps what it acknowledges, or why it cannot be used.
fn judge(facts: &Facts, wanted: Keeping) -> Result<Keeping, String> {
    let major = facts.version.split('.').next().and_then(|major| major.parse::<u64>().ok()).unwrap_or(0);
    if major < VERSION {
        return Err(format!(
            "expected Redis {VERSION}.0 or newer, found '{}': use a newer server",
            facts.version
        ));
    }
    if facts.eviction != "noeviction" {
        return Err(format!(
            "expected maxmemory-policy noeviction, found '{}', which throws data away when memory runs out: set it in \
             the server's configuration",
            facts.eviction
        ));
    }
    let kept = match (facts.append_only, facts.flush.as_deref()) {
        (true, Some("always")) => Keeping::Fsync,
        (true, Some("everysec")) => Keeping::EverySecond,
        // When it flushes as the operating system likes, or does not tell, nothing can be promised.
        (true, _) | (false, _) => Keeping::Memory,
    };
    if kept >= wanted {
        return Ok(kept);
    }
    let (append_only, flush) = match wanted {
        Keeping::Fsync => ("yes", "always"),
        Keeping::EverySecond | Keeping::Memory => ("yes", "everysec"),
    };
    let found = if facts.append_only { "yes" } else { "no" };
    Err(format!(
        "expected appendonly {append_only} and appendfsync {flush} (or stronger), found appendonly {found} and \
         appendfsync {}: set them in the server's configuration, or ask for less",
        facts.flush.as_deref().unwrap_or("unknown, because CONFIG GET is not allowed")
    ))
}

/// Loads our functions where they are missing.
async fn load(live: &Live) -> Result<(), Trouble> {
    let list =
        live.ask(redis::cmd("FUNCTION").arg("LIST").arg("LIBRARYNAME").arg(library::NAME.as_str())).await;
    if let Value::Array(found) = list.map_err(|trouble| rights(live, trouble))?
        && !found.is_empty()
    {
        return Ok(());
    }
    let mut load = redis::cmd("FUNCTION");
    load.arg("LOAD").arg("REPLACE").arg(library::source());
    live.ask(&load).await.map_err(|trouble| rights(live, trouble))?;
    Ok(())
}

/// At the door, a missing password or right is for an operator to give.
pub(super) fn rights(live: &Live, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Lost(words) if words.contains("NOAUTH") => Trouble::Refused(StoreError::Refused(format!(
            "{}:{} asks for a password and none is set: set user and password",
            live.address.0, live.address.1
        ))),
        Trouble::Lost(words) if words.to_ascii_lowercase().contains("no permissions") => {
            Trouble::Refused(StoreError::Refused(format!(
                "the user for {}:{} has too few rights: allow all keys of the environment, and the categories @read, \
                 @write, @scripting, @connection, and the commands info, role, time, wait, config|get ({words})",
                live.address.0, live.address.1
            )))
        }
        other => other,
    }
}

fn text(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: &str, append_only: bool, flush: Option<&str>, eviction: &str) -> Facts {
        Facts {
            version: version.into(),
            append_only,
            flush: flush.map(str::to_owned),
            eviction: eviction.into(),
        }
    }

    #[test]
    fn what_a_server_keeps_is_told_as_it_is() {
        let always = facts("7.0.15", true, Some("always"), "noeviction");
        assert_eq!(judge(&always, Keeping::EverySecond), Ok(Keeping::Fsync));
        let second = facts("8.2.0", true, Some("everysec"), "noeviction");
        assert_eq!(judge(&second, Keeping::EverySecond), Ok(Keeping::EverySecond));
        let memory = facts("7.0.15", false, Some("everysec"), "noeviction");
        assert_eq!(judge(&memory, Keeping::Memory), Ok(Keeping::Memory));
        let silent = facts("7.0.15", true, None, "noeviction");
        assert_eq!(judge(&silent, Keeping::Memory), Ok(Keeping::Memory), "the weakest");
    }

    #[test]
    fn what_keeps_too_little_is_refused_in_words() {
        let cases = [
            (facts("6.2.14", true, Some("always"), "noeviction"), "expected Redis 7.0"),
            (facts("", true, Some("always"), "noeviction"), "expected Redis 7.0"),
            (facts("7.0.15", true, Some("always"), "allkeys-lru"), "maxmemory-policy noeviction"),
            (facts("7.0.15", false, Some("always"), "noeviction"), "found appendonly no"),
            (facts("7.0.15", true, Some("no"), "noeviction"), "appendfsync no"),
            (facts("7.0.15", true, None, "noeviction"), "CONFIG GET is not allowed"),
        ];
        for (facts, expected) in cases {
            let words = judge(&facts, Keeping::EverySecond).unwrap_err();
            assert!(words.contains(expected), "{words}");
        }
        let second = facts("7.0.15", true, Some("everysec"), "noeviction");
        assert!(judge(&second, Keeping::Fsync).unwrap_err().contains("appendfsync always"));
    }
}
