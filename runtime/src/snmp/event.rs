//! A notification into an event. A community is a secret, and is in none.

use async_snmp::notification::oids;
use async_snmp::{
    Notification, NotificationEnvelope, NotificationPduClass, Oid, SecurityLevel, Value as Snmp, Version,
};
use impresario_model::event::CloudEvent;
use impresario_model::instance::rfc3339;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The type of the events.
pub const EVENT_TYPE: &str = "io.impresario.snmp.trap.v1";

/// The event of a notification that comes now, in milliseconds since the Unix epoch; none if it names no trap.
pub(super) fn event(notification: &NotificationEnvelope<'_>, id: String, now: u64) -> Option<CloudEvent> {
    let trap = notification.trap_oid().ok()?.to_string();
    let peer = notification.source.ip().to_canonical();
    let host = if peer.is_ipv6() { format!("[{peer}]") } else { peer.to_string() };
    let mut data = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            data.insert(name.to_owned(), value);
        }
    };
    put("version", Some(json!(version(notification.version))));
    put("confirmed", Some(json!(notification.pdu_class == NotificationPduClass::Inform)));
    put("user", notification.username.map(|name| json!(String::from_utf8_lossy(name))));
    put("securityLevel", notification.security_level.map(|level| json!(level_name(level))));
    put("contextName", filled(notification.context_name).map(|name| json!(String::from_utf8_lossy(name))));
    put("contextEngineId", filled(notification.context_engine_id).map(|id| json!(hex(id))));
    put("trapOid", Some(json!(trap)));
    put("uptime", Some(json!(notification.uptime)));
    put("enterprise", enterprise(notification).map(|oid| json!(oid)));
    put("agentAddress", agent_address(notification).map(|address| json!(address)));
    let shown = notification.varbinds.iter().filter(|variable| variable.oid != proxied_community());
    let variables = shown.map(|variable| {
        let (value, in_hex) = value(&variable.value);
        let mut shown = json!({ "oid": variable.oid.to_string(), "type": variable.value.kind().as_str(), "value": value });
        if in_hex {
            shown["encoding"] = json!("hex");
        }
        shown
    });
    put("variables", Some(variables.collect()));
    put("peer", Some(json!(peer.to_string())));
    put("receivedAt", Some(json!(rfc3339(now))));
    Some(CloudEvent {
        id,
        source: format!("snmp://{host}"),
        kind: EVENT_TYPE.to_owned(),
        subject: Some(trap).filter(|trap| !trap.is_empty()),
        time: Some(rfc3339(now)),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        data: Some(Value::Object(data)),
        data_base64: None,
        extensions: Map::new(),
    })
}

/// What an inform is recognised by when it is repeated, also by another node: who sent it, its number, and what it says.
pub(super) fn inform_id(notification: &NotificationEnvelope<'_>) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(notification.source.ip().to_canonical().to_string().as_bytes());
    add(&notification.request_id.unwrap_or_default().to_be_bytes());
    add(&notification.uptime.to_be_bytes());
    add(notification.username.unwrap_or_default());
    add(notification.trap_oid().map(|oid| oid.to_string()).unwrap_or_default().as_bytes());
    for variable in notification.varbinds {
        add(variable.oid.to_string().as_bytes());
        add(variable.value.kind().as_str().as_bytes());
        add(value(&variable.value).0.to_string().as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// snmpTrapCommunity.0: where a proxy passes on the community that it was told.
fn proxied_community() -> Oid {
    Oid::from_slice(&[1, 3, 6, 1, 6, 3, 18, 1, 4, 0])
}

fn filled(bytes: Option<&[u8]>) -> Option<&[u8]> {
    bytes.filter(|bytes| !bytes.is_empty())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V1 => "v1",
        Version::V2c => "v2c",
        Version::V3 => "v3",
        // The library may learn more.
        _ => "unknown",
    }
}

fn level_name(level: SecurityLevel) -> &'static str {
    match level {
        SecurityLevel::NoAuthNoPriv => "noAuthNoPriv",
        SecurityLevel::AuthNoPriv => "authNoPriv",
        SecurityLevel::AuthPriv => "authPriv",
    }
}

fn variable<'n>(notification: &NotificationEnvelope<'n>, oid: &Oid) -> Option<&'n Snmp> {
    notification.varbinds.iter().find(|variable| variable.oid == *oid).map(|variable| &variable.value)
}

fn enterprise(notification: &NotificationEnvelope<'_>) -> Option<String> {
    match notification.notification() {
        Notification::TrapV1 { trap, .. } => Some(trap.enterprise().to_string()),
        _ => variable(notification, &oids::snmp_trap_enterprise())?.as_oid().map(Oid::to_string),
    }
}

/// The device as it names itself, or as what has passed the notification on names it.
fn agent_address(notification: &NotificationEnvelope<'_>) -> Option<String> {
    match notification.notification() {
        Notification::TrapV1 { trap, .. } => Some(std::net::Ipv4Addr::from(trap.agent_addr()).to_string()),
        _ => variable(notification, &oids::snmp_trap_address())?.as_ip().map(|address| address.to_string()),
    }
}

/// A value in JSON, and whether it is bytes in hexadecimal digits.
fn value(value: &Snmp) -> (Value, bool) {
    let plain = |value: Value| (value, false);
    match value {
        Snmp::Integer(number) => plain(json!(number)),
        Snmp::Counter32(number)
        | Snmp::Gauge32(number)
        | Snmp::UInteger32(number)
        | Snmp::TimeTicks(number) => plain(json!(number)),
        Snmp::Counter64(number) => plain(json!(number)),
        Snmp::ObjectIdentifier(oid) => plain(json!(oid.to_string())),
        Snmp::IpAddress(address) => plain(json!(std::net::Ipv4Addr::from(*address).to_string())),
        Snmp::OctetString(bytes) => match std::str::from_utf8(bytes).ok().filter(|text| readable(text)) {
            Some(text) => plain(json!(text)),
            None => (json!(hex(bytes)), true),
        },
        Snmp::Opaque(bytes) | Snmp::Nsap(bytes) | Snmp::Unknown { data: bytes, .. } => {
            (json!(hex(bytes)), true)
        }
        // And what a later version of the library may know.
        _ => plain(Value::Null),
    }
}

/// Whether bytes that are text by chance, such as an address, are so on purpose.
fn readable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\r' | '\n'))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
