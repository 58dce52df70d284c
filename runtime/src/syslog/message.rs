//! A syslog message into an event: RFC 5424, RFC 3164, or whatever a device took for one of them.
//!
//! Nothing is refused for its form. What cannot be read becomes an event all the same, with `parsed: false` and the text.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use impresario_model::event::CloudEvent;
use impresario_model::instance::rfc3339;
use serde_json::{Map, Value, json};
use syslog_loose::{Message, Protocol, StructuredElement, Variant, parse_message_with_year_exact_tz};

use super::framing::Frame;

/// The type of the events.
pub const EVENT_TYPE: &str = "io.impresario.syslog.v1";
/// The longest host name in a source and the longest application name in a subject, in bytes.
const NAME_MAX: usize = 255;
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The last moment that RFC 3339 can write, in seconds since the Unix epoch.
const LAST_SECOND: i64 = 253_402_300_799;

/// How a message came.
pub(super) struct Receipt {
    /// Its id, which is unique with its source.
    pub id: String,
    /// From whom.
    pub peer: IpAddr,
    /// When, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// The event of a message.
pub(super) fn event(frame: &Frame, receipt: Receipt) -> CloudEvent {
    let Receipt { id, peer, now } = receipt;
    let text = String::from_utf8_lossy(&frame.bytes);
    // Some write the mark of UTF-8 in front of everything.
    let text = text.trim_start_matches('\u{feff}');
    let mut data = Map::new();
    data.insert("peer".to_owned(), json!(peer.to_canonical().to_string()));
    data.insert("receivedAt".to_owned(), json!(rfc3339(now)));
    let message = read(text, now);
    data.insert("parsed".to_owned(), json!(message.is_some()));
    let (mut host, mut application, mut time) = (None, None, None);
    match &message {
        None => {
            data.insert("raw".to_owned(), json!(text));
        }
        Some(message) => {
            host = message.hostname;
            application = message.appname;
            time = said_time(message);
            data.extend(members(message, time.clone()));
        }
    }
    if frame.cut {
        data.insert("truncated".to_owned(), json!(true));
    }
    if std::str::from_utf8(&frame.bytes).is_err() {
        data.insert("rawBase64".to_owned(), json!(BASE64_STANDARD.encode(&frame.bytes)));
    }
    // A stamp of RFC 3164 has neither year nor zone: it is told, and what counts is when the message came.
    let exact = message.as_ref().is_some_and(|message| matches!(message.protocol, Protocol::RFC5424(_)));
    CloudEvent {
        id,
        source: source(host, peer),
        kind: EVENT_TYPE.to_owned(),
        subject: application.map(plain).filter(|subject| !subject.is_empty()),
        time: Some(time.filter(|_| exact).unwrap_or_else(|| rfc3339(now))),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        data: Some(Value::Object(data)),
        data_base64: None,
        extensions: Map::new(),
    }
}

fn read(text: &str, now: u64) -> Option<Message<&str>> {
    // Read as UTC, and with the year that brings it nearest to now.
    let year = |(month, ..): (u32, u32, u32, u32, u32)| year_of(month, now);
    // The library is given what anybody sends: should it fail, then the message is one that cannot be read.
    let read = catch_unwind(AssertUnwindSafe(|| {
        parse_message_with_year_exact_tz(text, year, Some(chrono::Utc), Variant::Either)
    }));
    // Without a priority it may be any text at all, of which a host and an application would be guessed.
    read.ok()?.ok().filter(|message| message.severity.is_some())
}

fn year_of(month: u32, now: u64) -> i32 {
    let today = rfc3339(now);
    let number = |range: std::ops::Range<usize>| today.get(range).and_then(|part| part.parse::<i32>().ok());
    let (year, present) = (number(0..4).unwrap_or(1970), number(5..7).unwrap_or(1));
    match i32::try_from(month).unwrap_or(1) - present {
        // A stamp of December that comes in January is of last year.
        ahead if ahead > 6 => year - 1,
        ahead if ahead < -6 => year + 1,
        _ => year,
    }
}

/// What the message says of its time, as long as it can be written.
fn said_time(message: &Message<&str>) -> Option<String> {
    let time = message.timestamp?;
    (0..=LAST_SECOND - (DAY_MS / 1000) as i64).contains(&time.timestamp()).then(|| time.to_rfc3339())
}

fn members(message: &Message<&str>, time: Option<String>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    let protocol = match message.protocol {
        Protocol::RFC3164 => "rfc3164",
        Protocol::RFC5424(_) => "rfc5424",
    };
    put("format", Some(json!(protocol)));
    put("facility", message.facility.map(|facility| json!(facility.as_str())));
    put("facilityCode", message.facility.map(|facility| json!(facility as u8)));
    put("severity", message.severity.map(|severity| json!(severity.as_str())));
    put("severityCode", message.severity.map(|severity| json!(severity as u8)));
    put("timestamp", time.map(Value::String));
    put("hostname", message.hostname.map(Value::from));
    put("appName", message.appname.map(Value::from));
    put("procId", message.procid.as_ref().map(|process| json!(process.to_string())));
    put("msgId", message.msgid.map(Value::from));
    let structured = structured(&message.structured_data);
    put("structuredData", (!structured.is_empty()).then_some(Value::Object(structured)));
    put("message", Some(json!(message.msg.trim_start_matches('\u{feff}'))));
    members
}

/// Parameters by element. One that comes several times, as RFC 5424 allows, is an array.
fn structured(elements: &[StructuredElement<&str>]) -> Map<String, Value> {
    let mut all = Map::new();
    for element in elements {
        let of_element = all.entry(element.id).or_insert_with(|| Value::Object(Map::new()));
        let Some(parameters) = of_element.as_object_mut() else { continue };
        for (name, value) in element.params() {
            match parameters.get_mut(*name) {
                None => drop(parameters.insert((*name).to_owned(), Value::String(value))),
                Some(Value::Array(several)) => several.push(Value::String(value)),
                Some(one) => *one = json!([one.take(), value]),
            }
        }
    }
    all
}

/// `syslog://HOST`, with the name that the message says, or else the sender's address.
fn source(host: Option<&str>, peer: IpAddr) -> String {
    let of_peer = || match peer.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let host = match host.filter(|host| !host.is_empty() && host.len() <= NAME_MAX) {
        None => of_peer(),
        Some(host) => match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => host.chars().fold(String::new(), |mut text, c| {
                if safe(c) {
                    text.push(c);
                } else {
                    let mut bytes = [0; 4];
                    c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
                }
                text
            }),
        },
    };
    format!("syslog://{host}")
}

/// As much of a name as an attribute may hold.
fn plain(name: &str) -> String {
    let mut text: String = name.chars().filter(|c| !c.is_control()).collect();
    while text.len() > NAME_MAX {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-02T03:04:05Z.
    const NOW: u64 = 1_767_323_045_000;

    fn of(bytes: &[u8]) -> CloudEvent {
        let frame = Frame { bytes: bytes.into(), cut: false };
        event(&frame, Receipt { id: "c-1".to_owned(), peer: "10.0.0.7".parse().unwrap(), now: NOW })
    }

    fn data(text: &str) -> Value {
        of(text.as_bytes()).data.unwrap()
    }

    #[test]
    fn rfc_5424_is_taken_apart() {
        let text = "<165>1 2026-01-02T03:00:00.123456+01:00 sw-1.example evntslog 42 ID47 \
            [a@1 ip=\"10.0.0.1\" ip=\"10.0.0.2\" quoted=\"\\\"x\\] \\\\\"][b@2] \u{feff}Link down";
        let event = of(text.as_bytes());
        assert_eq!(event.source, "syslog://sw-1.example");
        assert_eq!(event.subject.as_deref(), Some("evntslog"));
        assert_eq!(event.time.as_deref(), Some("2026-01-02T03:00:00.123456+01:00"));
        let expected = json!({
            "parsed": true, "format": "rfc5424", "facility": "local4", "facilityCode": 20, "severity": "notice",
            "severityCode": 5, "timestamp": "2026-01-02T03:00:00.123456+01:00", "hostname": "sw-1.example",
            "appName": "evntslog", "procId": "42", "msgId": "ID47",
            "structuredData": { "a@1": { "ip": ["10.0.0.1", "10.0.0.2"], "quoted": "\"x] \\" }, "b@2": {} },
            "message": "Link down", "peer": "10.0.0.7", "receivedAt": "2026-01-02T03:04:05.000Z",
        });
        assert_eq!(event.data, Some(expected));
    }

    #[test]
    fn rfc_3164_is_tolerated_as_devices_write_it() {
        let event = of(b"<34>Dec 31 23:14:15 mymachine su[12]: 'su root' failed");
        assert_eq!(event.source, "syslog://mymachine");
        assert_eq!(event.subject.as_deref(), Some("su"));
        assert_eq!(event.time.as_deref(), Some("2026-01-02T03:04:05.000Z"), "when it came");
        let read = event.data.unwrap();
        assert_eq!(read["timestamp"], "2025-12-31T23:14:15+00:00", "of last year");
        assert_eq!((&read["severity"], &read["procId"]), (&json!("crit"), &json!("12")));
        assert_eq!(read["message"], "'su root' failed");
        for odd in ["<13>hello", "<13>Jan  2 03:04:05 only", "<189>: %LINK-3-UPDOWN: Interface up", "<0>"] {
            let read = data(odd);
            assert!(read["parsed"] == json!(true) || read["raw"] == json!(odd), "{read}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_came() {
        for text in ["just words", "<999>1 - - - - - - x", "<", "{\"json\":true}", "\u{1}\u{2}"] {
            let event = of(text.as_bytes());
            assert_eq!(event.source, "syslog://10.0.0.7");
            let read = event.data.unwrap();
            assert_eq!((&read["parsed"], &read["raw"]), (&json!(false), &json!(text)));
        }
        let binary = of(b"<13>1 - h a - - - \xff\xfe");
        assert_eq!(binary.data.unwrap()["rawBase64"], BASE64_STANDARD.encode(b"<13>1 - h a - - - \xff\xfe"));
    }

    proptest! {
        #[test]
        fn every_message_gives_an_event_that_is_one(
            head in prop_oneof!["<[0-9]{0,4}>", Just("<13>1 ".to_owned()), Just(String::new())],
            rest in prop::collection::vec(any::<u8>(), 0..200),
            words in "[-A-Za-z0-9:=\\[\\]\"\\\\ .<>]{0,80}",
        ) {
            let bytes = [head.as_bytes(), words.as_bytes(), &rest].concat();
            let event = of(&bytes);
            prop_assert_eq!(CloudEvent::from_json(event.envelope()), Ok(event));
        }
    }

    #[test]
    fn a_hostile_message_takes_no_time() {
        let began = std::time::Instant::now();
        for pattern in ["[a b=\"c\"", "[", "\\", "[a ", "x=\"", "<1>", "] ["] {
            drop(data(&format!("<13>1 - h a - - {}", pattern.repeat(60_000 / pattern.len()))));
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
