//! What an environment is made with, and whether what is found is that.

use std::collections::HashMap;

use redis::Value;

use super::config::RedisConfig;
use super::keys::{GROUPS, Keys};
use super::lane::{Lane, gone};
use super::library;
use super::live::{Live, Trouble, chance};
use super::reply::strange;
use crate::StoreError;
use crate::port::{Offset, Owner, Result, ShardId};

/// The format of the keys. A newer one is refused.
const FORMAT: u64 = 1;
/// How many shards are asked about in one go.
const AT_ONCE: usize = 256;

/// An environment as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) groups: u16,
    /// Tells this set of data from any other.
    pub(super) dataset: String,
    /// Whether all its shards are there.
    ready: bool,
}

/// Finds the environment, or makes it.
pub(super) async fn find_or_make(
    live: &Live,
    config: &RedisConfig,
) -> std::result::Result<Environment, Trouble> {
    let keys = Keys::new(&config.environment, 1);
    let mut found = library::call("found", &[&keys.common("environment")]);
    found.arg("format").arg(FORMAT);
    found.arg("shards").arg(config.shards);
    found.arg("groups").arg(config.shards.min(GROUPS));
    found.arg("dataset").arg(format!("{:016x}{:016x}", chance(), chance()));
    found.arg("made_by").arg(env!("CARGO_PKG_VERSION"));
    found.arg("state").arg("making");
    let answer = live.ask(&found).await.map_err(|trouble| super::server::rights(live, trouble))?;
    let fields = redis::from_redis_value::<HashMap<String, String>>(answer)
        .map_err(|error| Trouble::Refused(strange(&Value::SimpleString(error.to_string()))))?;
    judge(&fields, config).map_err(Trouble::Refused)
}

fn judge(fields: &HashMap<String, String>, config: &RedisConfig) -> Result<Environment> {
    let name = &config.environment;
    let number = |field: &str| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    let damaged =
        || StoreError::Corrupt(format!("the environment '{name}' cannot be read: found {fields:?}"));
    let format = number("format").ok_or_else(damaged)?;
    if format > FORMAT {
        return Err(StoreError::Refused(format!(
            "the environment '{name}' has format {format}, made by version {}, and this version knows {FORMAT}: use a \
             newer version",
            fields.get("made_by").map_or("unknown", String::as_str)
        )));
    }
    let shards = number("shards").ok_or_else(damaged)?;
    if shards != u64::from(config.shards) {
        return Err(StoreError::Refused(format!(
            "the environment '{name}' was made with {shards} shards, not {}: the number cannot change, because it \
             decides where every actor lives; set it back to {shards}",
            config.shards
        )));
    }
    let groups = number("groups").and_then(|groups| u16::try_from(groups).ok()).filter(|groups| *groups > 0);
    Ok(Environment {
        groups: groups.ok_or_else(damaged)?,
        dataset: fields.get("dataset").cloned().ok_or_else(damaged)?,
        ready: fields.get("state").is_some_and(|state| state == "ready"),
    })
}

/// Makes what is missing of a new environment. Several nodes may do so at once.
pub(super) async fn finish(environment: &Environment, common: &Lane, lanes: &[&Lane]) -> Result<()> {
    if environment.ready {
        return Ok(());
    }
    for lane in lanes {
        for shards in lane.shards.chunks(AT_ONCE) {
            let mut make = redis::pipe();
            for shard in shards {
                make.cmd("HSETNX").arg(lane.keys.meta(*shard)).arg("dataset").arg(&environment.dataset);
            }
            lane.look_all(&make).await?;
        }
    }
    let mut ready = redis::pipe();
    ready.cmd("HSET").arg(common.keys.common("environment")).arg("state").arg("ready");
    common.look_all(&ready).await.map(|_| ())
}

/// What a server holds of one shard.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) shard: ShardId,
    pub(super) end: Offset,
    pub(super) count: u64,
    pub(super) epoch: u64,
    pub(super) owner: Option<Owner>,
    pub(super) offered: Option<String>,
    pub(super) mark: Offset,
}

/// Reads what a server holds of shards, all of which must belong to the environment.
pub(super) async fn stored(
    live: &Live,
    keys: &Keys,
    shards: &[ShardId],
    config: &RedisConfig,
    dataset: &str,
) -> std::result::Result<Vec<Stored>, Trouble> {
    let mut found = Vec::with_capacity(shards.len());
    for some in shards.chunks(AT_ONCE) {
        let mut ask = redis::pipe();
        for shard in some {
            let fields = [
                "dataset",
                "ms",
                "sq",
                "count",
                "epoch",
                "node",
                "incarnation",
                "offered",
                "mark_ms",
                "mark_sq",
            ];
            ask.cmd("HMGET").arg(keys.meta(*shard)).arg(&fields);
        }
        let answers = live.ask_all(&ask).await?;
        for (shard, answer) in some.iter().zip(answers) {
            found.push(one(*shard, answer, config, dataset)?);
        }
    }
    Ok(found)
}

fn one(
    shard: ShardId,
    answer: Value,
    config: &RedisConfig,
    dataset: &str,
) -> std::result::Result<Stored, Trouble> {
    let fields: Vec<Option<String>> = redis::from_redis_value(answer)
        .map_err(|error| Trouble::Refused(strange(&Value::SimpleString(error.to_string()))))?;
    let field = |place: usize| fields.get(place).cloned().flatten();
    match field(0) {
        Some(found) if found == dataset => {}
        Some(_) => {
            return Err(Trouble::Refused(StoreError::Corrupt(format!(
                "shard {} on the server belongs to another environment that was also called '{}': restore the data of \
                 one environment",
                shard.0, config.environment
            ))));
        }
        None => return Err(Trouble::Lost(gone(&config.environment))),
    }
    let number = |place: usize| field(place).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let offset = |place: usize| super::keys::offset(number(place), number(place + 1)).unwrap_or_default();
    Ok(Stored {
        shard,
        end: offset(1),
        count: number(3),
        epoch: number(4),
        owner: field(5).zip(field(6)).map(|(node, incarnation)| Owner { node, incarnation }),
        offered: field(7),
        mark: offset(8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_found_is_judged_in_words() {
        let config = RedisConfig::new("E", 4, vec![("h".to_owned(), 1)]);
        let good = [("format", "1"), ("shards", "4"), ("groups", "4"), ("dataset", "x"), ("state", "ready")];
        let environment = Environment { groups: 4, dataset: "x".to_owned(), ready: true };
        assert_eq!(judge(&fields(&good), &config), Ok(environment));
        let newer = [("format", "2"), ("shards", "4"), ("made_by", "9.1")];
        let words = judge(&fields(&newer), &config).unwrap_err().to_string();
        assert!(words.contains("format 2, made by version 9.1") && words.contains("knows 1"), "{words}");
        let other = [("format", "1"), ("shards", "16")];
        let words = judge(&fields(&other), &config).unwrap_err().to_string();
        assert!(words.contains("16 shards, not 4"), "{words}");
        assert!(matches!(judge(&fields(&[]), &config), Err(StoreError::Corrupt(_))));
    }
}
