//! A document as a tree in which every value and every name knows its place in the text.

use serde_json::{Map, Number, Value};

use super::diagnostic::shorten;

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// 1-based line.
    pub(super) line: u32,
    /// 1-based column, in characters.
    pub(super) column: u32,
    /// Bytes from the start of the text.
    pub(super) offset: usize,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a map, with the place of its name.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value as plain data.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Map(members) => {
                let pairs = members.iter().map(|one| (one.name.clone(), one.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// How much memory a copy takes, roughly: what bounds the copies that functions and aliases make.
    pub(super) fn weight(&self) -> usize {
        const NODE: usize = 32;
        let inside: usize = match &self.content {
            Content::Null | Content::Bool(_) | Content::Number(_) => 0,
            Content::Text(text) => text.len(),
            Content::List(items) => items.iter().map(Node::weight).sum(),
            Content::Map(members) => members.iter().map(|one| one.name.len() + one.value.weight()).sum(),
        };
        NODE + inside
    }
}

/// A value of a document and the way to it.
#[derive(Clone, Debug)]
pub(super) struct At<'n> {
    /// The value.
    pub(super) node: &'n Node,
    /// The JSON pointer to it.
    pub(super) pointer: String,
    /// The place of the name that it stands under; its own in a list.
    pub(super) named: Place,
}

impl<'n> At<'n> {
    /// The whole document.
    pub(super) fn root(node: &'n Node) -> Self {
        At { node, pointer: String::new(), named: node.place }
    }

    /// A member of a map; none in anything else.
    pub(super) fn get(&self, name: &str) -> Option<At<'n>> {
        let Content::Map(members) = &self.node.content else { return None };
        members.iter().find(|member| member.name == name).map(|member| self.enter(member))
    }

    /// The members of a map; none of anything else.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'n str, At<'n>)> + use<'n, '_> {
        let members: &[Member] = match &self.node.content {
            Content::Map(members) => members,
            _ => &[],
        };
        members.iter().map(|member| (member.name.as_str(), self.enter(member)))
    }

    /// The only member of a map; none where there are more or fewer.
    pub(super) fn only_member(&self) -> Option<(&'n str, At<'n>)> {
        match &self.node.content {
            Content::Map(members) => match members.as_slice() {
                [member] => Some((&member.name, self.enter(member))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> Option<Vec<At<'n>>> {
        let Content::List(items) = &self.node.content else { return None };
        let enter = |(index, node): (usize, &'n Node)| At {
            node,
            pointer: format!("{}/{index}", self.pointer),
            named: node.place,
        };
        Some(items.iter().enumerate().map(enter).collect())
    }

    /// The value in words, for "found …".
    pub(super) fn describe(&self) -> String {
        match &self.node.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("the boolean {value}"),
            Content::Number(number) => format!("the number {number}"),
            Content::Text(text) => format!("'{}'", shorten(text)),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }

    fn enter(&self, member: &'n Member) -> At<'n> {
        At { node: &member.value, pointer: join(&self.pointer, &member.name), named: member.place }
    }
}

/// The pointer to a member, with the escapes of RFC 6901.
pub(super) fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
