//! Where the server of a lane is: as configured, as the Sentinels say, or as the members of the cluster say.

use redis::Value;

use super::config::{RedisConfig, Topology};
use super::keys;
use super::live::{Address, Live, Trouble, chance};
use super::reply::strange;

/// The servers to try in turn for the keys of a tag.
pub(super) async fn candidates(config: &RedisConfig, tag: &str) -> Result<Vec<Address>, Trouble> {
    match &config.topology {
        Topology::Standalone => Ok(config.servers.clone()),
        Topology::Sentinel { primary } => {
            let mut latest = None;
            for sentinel in in_turn(config) {
                match ask_sentinel(config, sentinel, primary).await {
                    Ok(address) => return Ok(vec![address]),
                    Err(trouble) => latest = Some(trouble),
                }
            }
            Err(latest.unwrap_or_else(|| Trouble::Lost("no Sentinel is configured".to_owned())))
        }
        Topology::Cluster => {
            let mut latest = None;
            for member in in_turn(config) {
                match ask_member(config, member, tag).await {
                    Ok(address) => return Ok(vec![address]),
                    Err(trouble) => latest = Some(trouble),
                }
            }
            Err(latest.unwrap_or_else(|| Trouble::Lost("no member of the cluster is configured".to_owned())))
        }
    }
}

/// All servers that are configured, beginning with any: one that is cut off and tells old news is not asked every time.
fn in_turn(config: &RedisConfig) -> impl Iterator<Item = &Address> {
    let count = config.servers.len();
    let first = usize::try_from(chance() % count.max(1) as u64).unwrap_or(0);
    config.servers.iter().cycle().skip(first).take(count)
}

/// Sentinels usually have no password, also where the servers have one; those that do have the same.
async fn ask_sentinel(config: &RedisConfig, sentinel: &Address, primary: &str) -> Result<Address, Trouble> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(primary);
    let open = async {
        let live = Live::connect(config, sentinel, false, 0).await?;
        live.ask(&question).await
    };
    let answer = match open.await {
        Ok(answer) => answer,
        Err(trouble) if config.password.is_some() && asks_for_password(&trouble) => {
            Live::connect(config, sentinel, true, 0).await?.ask(&question).await?
        }
        Err(trouble) => return Err(trouble),
    };
    let named: Option<(String, u16)> = redis::from_redis_value(answer)
        .map_err(|error| Trouble::Lost(format!("the Sentinel {}:{}: {error}", sentinel.0, sentinel.1)))?;
    named.ok_or_else(|| {
        Trouble::Lost(format!(
            "the Sentinel {}:{} knows no primary named '{primary}': correct the name",
            sentinel.0, sentinel.1
        ))
    })
}

fn asks_for_password(trouble: &Trouble) -> bool {
    let text = format!("{trouble:?}");
    text.contains("NOAUTH") || text.contains("asks for a password")
}

async fn ask_member(config: &RedisConfig, member: &Address, tag: &str) -> Result<Address, Trouble> {
    let live = Live::connect(config, member, true, 0).await?;
    let answer = live.ask(redis::cmd("CLUSTER").arg("SLOTS")).await?;
    let slot = i64::from(keys::slot(tag));
    let Value::Array(ranges) = answer else {
        return Err(Trouble::Refused(strange(&answer)));
    };
    for range in ranges {
        let Value::Array(range) = range else { continue };
        if let [Value::Int(first), Value::Int(last), Value::Array(server), ..] = range.as_slice()
            && (*first..=*last).contains(&slot)
            && let [host, Value::Int(port), ..] = server.as_slice()
        {
            // A member that does not know its own name leaves it out: it is the one that was asked.
            let host = match host {
                Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
                _ => member.0.clone(),
            };
            let port = u16::try_from(*port).map_err(|_| Trouble::Lost(format!("there is no port {port}")))?;
            return Ok((host, port));
        }
    }
    Err(Trouble::Lost(format!("{}:{}: no member of the cluster has slot {slot}", member.0, member.1)))
}
