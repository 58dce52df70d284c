//! YAML (and so JSON) text into a tree of positioned [`Node`]s.
//!
//! The tree is built from the events of the YAML parser, not through serde: the place of every name is needed and
//! serde's buffering loses it. It is built without recursion, and depth, size and the copies that aliases make are
//! bounded, so that a hostile text costs no more than an honest one of the largest size.

use std::collections::{HashMap, HashSet};

use serde_json::Number;
use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Tag};

use super::diagnostic::Report;
use super::node::{Content, Member, Node, Place, join};

/// A definition larger than this is not written by a person.
const SOURCE_BYTES_MAX: usize = 1 << 20;

/// Lists and maps inside each other. The walks over the tree recurse, so this bounds their stack too.
const DEPTH_MAX: usize = 128;

/// The parser's own limit for keys without a `?`; long ones would make every pointer below them long.
const NAME_BYTES_MAX: usize = 1_024;

/// All values together, aliases counted each time they are used: an alias can multiply what it names.
const WEIGHT_MAX: usize = 8 << 20;

/// Reads one document, or reports why not.
pub(super) fn read(source: &str, report: &mut Report) -> Option<Node> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("expected a document of at most 1 MiB, found {} bytes", source.len());
        report.push(Place::default(), "", message, None);
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut reader = Reader { report, frames: Vec::new(), anchors: HashMap::new(), weight: 0, root: None };
    for event in Parser::new_from_str_with_options(source, options) {
        let done = match event {
            Ok((event, span)) => reader.accept(event, place(&span.start)),
            Err(error) => Err(refused(&error)),
        };
        if let Err(refusal) = done {
            let pointer = reader.pointer();
            reader.report.push(refusal.place, &pointer, refusal.message, refusal.hint);
            return None;
        }
    }
    if reader.root.is_none() {
        reader.report.push(
            Place::default(),
            "",
            "expected a definition, found an empty document".into(),
            None,
        );
    }
    reader.root
}

/// Why reading stopped.
struct Refusal {
    place: Place,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Refusal { place, message: message.into(), hint: None }
    }
}

/// An unfinished list or map.
struct Frame {
    place: Place,
    anchor: usize,
    /// How deep the finished parts go below this.
    height: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { members: Vec<Member>, names: HashSet<String>, pending: Option<(String, Place)> },
}

/// A finished value that an alias can name.
struct Anchored {
    node: Node,
    height: usize,
    weight: usize,
}

struct Reader<'r> {
    report: &'r mut Report,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    weight: usize,
    root: Option<Node>,
}

impl Reader<'_> {
    fn accept(&mut self, event: Event<'_>, place: Place) -> Result<(), Refusal> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Refusal::new(place, "expected one document, found a second one"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), place)?;
                self.open(place, anchor, Parts::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), place)?;
                let parts = Parts::Map { members: Vec::new(), names: HashSet::new(), pending: None };
                self.open(place, anchor, parts)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, place),
            // The rest are the bounds of the stream and of its only document.
            _ => Ok(()),
        }
    }

    /// Whether the next value is the name of a member.
    fn at_name(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { parts: Parts::Map { pending: None, .. }, .. }))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), Refusal> {
        if self.at_name() {
            return self.name(text, style, place);
        }
        check_tag(tag, place)?;
        let is_text =
            style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        let content = if is_text { Content::Text(text.to_owned()) } else { plain(text, place)? };
        let node = Node { place, content };
        self.charge(node.weight(), place)?;
        self.finish(node, anchor, 0)
    }

    fn name(&mut self, text: &str, style: ScalarStyle, place: Place) -> Result<(), Refusal> {
        if text == "<<" && style == ScalarStyle::Plain {
            let message = "expected a name, found the merge key '<<', which YAML 1.2 has no longer";
            return Err(Refusal::new(place, message));
        }
        if text.len() > NAME_BYTES_MAX {
            let message = format!("expected a name of at most {NAME_BYTES_MAX} bytes, found {}", text.len());
            return Err(Refusal::new(place, message));
        }
        self.charge(text.len(), place)?;
        let pointer = self.pointer();
        let Some(Frame { parts: Parts::Map { names, pending, .. }, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        *pending = Some((text.to_owned(), place));
        if !names.insert(text.to_owned()) {
            self.report.push(place, &pointer, format!("expected each key once, found '{text}' again"), None);
        }
        Ok(())
    }

    fn open(&mut self, place: Place, anchor: usize, parts: Parts) -> Result<(), Refusal> {
        if self.at_name() {
            return Err(Refusal::new(place, "expected a name, found a list or a map as a key"));
        }
        self.check_depth(1, place)?;
        self.charge(Node { place, content: Content::Null }.weight(), place)?;
        self.frames.push(Frame { place, anchor, height: 0, parts });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refusal> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let content = match frame.parts {
            Parts::List(items) => Content::List(items),
            Parts::Map { members, .. } => Content::Map(members),
        };
        self.finish(Node { place: frame.place, content }, frame.anchor, frame.height + 1)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Refusal> {
        if self.at_name() {
            return Err(Refusal::new(place, "expected a name, found an alias as a key"));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Refusal::new(
                place,
                "expected an alias of a finished value, found one of the value it is in",
            ));
        };
        let (height, weight) = (anchored.height, anchored.weight);
        self.check_depth(height, place)?;
        self.charge(weight, place)?;
        match self.anchors.get(&anchor).map(|anchored| anchored.node.clone()) {
            Some(node) => self.finish(node, 0, height),
            None => Ok(()),
        }
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, height: usize) -> Result<(), Refusal> {
        if anchor > 0 {
            let weight = node.weight();
            self.charge(weight, node.place)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), height, weight });
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        match &mut frame.parts {
            Parts::List(items) => items.push(node),
            Parts::Map { members, pending, .. } => {
                if let Some((name, place)) = pending.take() {
                    members.push(Member { name, place, value: node });
                }
            }
        }
        Ok(())
    }

    fn check_depth(&self, height: usize, place: Place) -> Result<(), Refusal> {
        if self.frames.len() + height > DEPTH_MAX {
            let message =
                format!("expected at most {DEPTH_MAX} lists and maps inside each other, found more");
            return Err(Refusal::new(place, message));
        }
        Ok(())
    }

    fn charge(&mut self, weight: usize, place: Place) -> Result<(), Refusal> {
        self.weight += weight;
        if self.weight > WEIGHT_MAX {
            return Err(Refusal::new(place, "expected a smaller document, found too many values or aliases"));
        }
        Ok(())
    }

    /// The pointer to the value that is read now.
    fn pointer(&self) -> String {
        self.frames.iter().fold(String::new(), |pointer, frame| match &frame.parts {
            Parts::List(items) => format!("{pointer}/{}", items.len()),
            Parts::Map { pending: Some((name, _)), .. } => join(&pointer, name),
            Parts::Map { pending: None, .. } => pointer,
        })
    }
}

/// A plain scalar by the core schema of YAML 1.2: `yes` and `on` are text.
fn plain(text: &str, place: Place) -> Result<Content, Refusal> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            Content::Text(text.to_owned())
        }
        _ => match number(text) {
            Some(number) => Content::Number(number),
            None if is_infinite(text) => {
                return Err(Refusal::new(place, format!("expected a finite number, found '{text}'")));
            }
            None => Content::Text(text.to_owned()),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !unsigned.chars().all(numeric) || !unsigned.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if unsigned.chars().all(|c| c.is_ascii_digit()) {
        let exact = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
        if let Ok(number) = exact {
            return Some(number);
        }
    }
    // A number beyond the range becomes infinite, which no `Number` holds; it stays text then.
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

fn is_infinite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

fn check_tag(tag: Option<&Tag>, place: Place) -> Result<(), Refusal> {
    match tag {
        Some(tag)
            if !["str", "int", "float", "bool", "null", "seq", "map"]
                .iter()
                .any(|known| tag.is_yaml_core_schema_tag(known)) =>
        {
            Err(Refusal::new(place, format!("expected a plain value, found the tag '{}'", tag.original())))
        }
        _ => Ok(()),
    }
}

fn place(marker: &Marker) -> Place {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: narrow(marker.line()),
        column: narrow(marker.col() + 1),
        offset: marker.byte_offset().unwrap_or(0),
    }
}

/// The parser's own refusal, with help for the trap that catches everybody once.
fn refused(error: &ScanError) -> Refusal {
    let hint = match error.kind() {
        ErrorKind::UnknownQuotedScalarEscape => Some(
            "double quotes have escapes of their own, so '\\(' is not allowed in them: write the expression in single quotes or as a block"
                .to_owned(),
        ),
        _ => None,
    };
    Refusal { place: place(error.marker()), message: format!("expected YAML: {}", error.info()), hint }
}
