//! The settings of an environment: each with its version and the try that wrote it.

use std::sync::Arc;

use bytes::Bytes;

use super::lane::Lane;
use super::{library, reply, rows};
use crate::StoreError;
use crate::port::{Result, Setting};

const PAGE: usize = 500;
const KEYS_PAGE: usize = 5_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

fn keys(lane: &Lane) -> [String; 3] {
    ["environment", "settings", "settings:keys"].map(|name| lane.keys.common(name))
}

/// Version, the try that wrote it, and the bytes, with colons between.
fn decode(key: &str, stored: &Bytes) -> Result<Setting> {
    let colon = |from: usize| stored.get(from..)?.iter().position(|byte| *byte == b':').map(|at| from + at);
    let parts = || {
        let first = colon(0)?;
        let second = colon(first + 1)?;
        let version = std::str::from_utf8(stored.get(..first)?).ok()?.parse().ok()?;
        Some(Setting { version, bytes: stored.slice(second + 1..) })
    };
    parts().ok_or_else(|| StoreError::Corrupt(format!("the setting '{key}' cannot be read")))
}

pub(super) async fn one(lane: Arc<Lane>, key: String) -> Result<Option<Setting>> {
    let mut ask = redis::pipe();
    ask.cmd("HGET").arg(lane.keys.common("settings")).arg(&key);
    let answer = lane.look_all(&ask).await?.into_iter().next().unwrap_or_default();
    match answer {
        redis::Value::Nil => Ok(None),
        redis::Value::BulkString(stored) => decode(&key, &stored.into()).map(Some),
        other => Err(reply::strange(&other)),
    }
}

pub(super) async fn put(
    lane: Arc<Lane>,
    key: String,
    expected: u64,
    name: String,
    bytes: Bytes,
) -> Result<u64> {
    let [environment, settings, names] = keys(&lane);
    let mut call = library::call("put_setting", &[&environment, &settings, &names]);
    call.arg(key).arg(expected).arg(name).arg(bytes.as_ref());
    let (word, mut reply) = lane.change(&call).await?;
    let version = reply.number()?;
    match word.as_str() {
        "ok" => Ok(version),
        _ => Err(StoreError::Conflict { expected, found: version }),
    }
}

pub(super) async fn all(lane: Arc<Lane>, prefix: String) -> Result<Vec<(String, Setting)>> {
    let [_, settings, names] = keys(&lane);
    let mut found: Vec<(String, Setting)> = Vec::new();
    loop {
        let mut look = library::look("settings", &[&settings, &names]);
        let after = found.last().map(|(key, _)| key.as_str());
        look.arg(rows::from(&prefix, after)).arg(rows::behind(&prefix)).arg(PAGE).arg(PAGE_BYTES);
        let mut reply = lane.look(&look).await?;
        let more = reply.number()? == 1;
        let before = found.len();
        while !reply.is_empty() {
            let (key, stored) = (reply.text()?, reply.bytes()?);
            let setting = decode(&key, &stored)?;
            found.push((key, setting));
        }
        if !more || found.len() == before {
            return Ok(found);
        }
    }
}

pub(super) async fn names(lane: Arc<Lane>, prefix: String) -> Result<Vec<String>> {
    let [_, _, names] = keys(&lane);
    let mut found: Vec<String> = Vec::new();
    loop {
        let from = rows::from(&prefix, found.last().map(String::as_str));
        let mut ask = redis::pipe();
        ask.cmd("ZRANGE").arg(&names).arg(from).arg(rows::behind(&prefix)).arg("BYLEX");
        ask.arg("LIMIT").arg(0).arg(KEYS_PAGE);
        let answer = lane.look_all(&ask).await?.into_iter().next().unwrap_or_default();
        let page: Vec<String> = redis::from_redis_value(answer).map_err(|error| {
            StoreError::Corrupt(format!("the keys of the settings cannot be read: {error}"))
        })?;
        let last = page.len() < KEYS_PAGE;
        found.extend(page);
        if last {
            return Ok(found);
        }
    }
}
