//! Shapes: what the parts of the language look like that are only checked, not run.

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, strip};
use super::node::{At, Content};

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Anything, with expressions in it.
    Any,
    /// A string, or an expression.
    Text,
    /// True or false.
    Boolean,
    /// A whole number, or an expression.
    Count,
    /// A duration.
    Duration,
    /// An expression.
    Expression,
    /// An endpoint.
    Endpoint,
    /// An authentication policy, or the name of one.
    Authentication,
    /// What is done for each event or message.
    Foreach,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of such values.
    List(&'static Shape),
    /// A map of any names to such values, or an expression.
    Names(&'static Shape),
    /// A map of these members: name, whether it must be there, shape.
    Map(&'static [Member]),
}

/// A member of a [`Shape::Map`].
pub(super) type Member = (&'static str, bool, Shape);

/// A member that must be there.
pub(super) const fn required(name: &'static str, shape: Shape) -> Member {
    (name, true, shape)
}

/// A member that may be there.
pub(super) const fn optional(name: &'static str, shape: Shape) -> Member {
    (name, false, shape)
}

/// A resource that is named by where it is.
pub(super) const RESOURCE: Shape =
    Shape::Map(&[optional("name", Shape::Text), required("endpoint", Shape::Endpoint)]);

impl Compiler<'_> {
    /// Reports where a value does not have the shape.
    pub(super) fn check_shape(&mut self, at: &At<'_>, shape: &Shape, scope: &Scope) {
        let is_expression = matches!(&at.node.content, Content::Text(text) if strip(text).is_some());
        match shape {
            Shape::Any => {
                self.template(at, scope, Secrets::Visible);
            }
            Shape::Text => {
                self.text_template(at, scope, Secrets::Visible);
            }
            Shape::Boolean => {
                self.report.boolean(at);
            }
            Shape::Count | Shape::Names(_) if is_expression => {
                self.expression(at, scope);
            }
            Shape::Count => {
                self.report.count(at);
            }
            Shape::Duration => {
                self.duration(at, scope);
            }
            Shape::Expression => {
                self.expression(at, scope);
            }
            Shape::Endpoint => {
                self.endpoint(at, scope);
            }
            Shape::Authentication => {
                self.authentication(at, scope);
            }
            Shape::Foreach => {
                self.foreach(at, scope);
            }
            Shape::Word(words) => {
                self.report.word(at, "value", words);
            }
            Shape::List(inner) => {
                for item in self.report.list(at, "a list").unwrap_or_default() {
                    self.check_shape(&item, inner, scope);
                }
            }
            Shape::Names(inner) => {
                if let Some(map) = self.report.open_map(at, "a map") {
                    for (_, member) in map.members() {
                        self.check_shape(&member, inner, scope);
                    }
                }
            }
            Shape::Map(members) => self.check_members(at, members, scope),
        }
    }

    fn check_members(&mut self, at: &At<'_>, members: &[Member], scope: &Scope) {
        let known: Vec<&str> = members.iter().map(|(name, ..)| *name).collect();
        let Some(map) = self.report.map(at, "a map", &known) else { return };
        for (name, needed, shape) in members {
            let member = if *needed { self.report.required(&map, name) } else { map.get(name) };
            if let Some(member) = member {
                self.check_shape(&member, shape, scope);
            }
        }
    }
}
