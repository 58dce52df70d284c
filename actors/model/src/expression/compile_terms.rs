//! The terms that bind no names: data, operators and control flow.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path;
use serde_json::{Number, Value};

use super::ExpressionError;
use super::compile::Compiler;
use super::natives::{Control, Stream};
use super::node::{Change, Fold, Format, Kind, Node, Part, Piece, Step};

type Compiled<T = Node> = Result<T, ExpressionError>;

impl Compiler<'_> {
    pub(super) fn plain(&mut self, term: &Term<&str>) -> Compiled<Kind> {
        Ok(match term {
            Term::Id => Kind::Identity,
            Term::Recurse => Kind::Control(Control::Stream(Stream::Descend), Vec::new()),
            Term::Num(digits) => Kind::Literal(self.number(digits)?),
            Term::Str(format, parts) => self.text(*format, parts)?,
            Term::Arr(items) => Kind::Array(items.as_ref().map(|items| self.boxed(items)).transpose()?),
            Term::Obj(entries) => {
                Kind::Object(entries.iter().map(|(k, v)| self.entry(k, v.as_ref())).collect::<Compiled<_>>()?)
            }
            Term::Neg(term) => match &**term {
                Term::Num(digits) => Kind::Literal(negated(self.number(digits)?)),
                term => Kind::Negate(self.boxed(term)?),
            },
            Term::BinOp(a, op, b) => self.operator(a, op, b)?,
            Term::Fold(name, source, pattern, arguments) => self.fold(name, source, pattern, arguments)?,
            Term::TryCatch(body, catch) => {
                let catch = catch.as_ref().map(|catch| self.boxed(catch)).transpose()?;
                Kind::Try(self.boxed(body)?, catch)
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut otherwise = match otherwise {
                    Some(otherwise) => self.node(otherwise)?,
                    None => self.made(Kind::Identity),
                };
                for (test, then) in branches.iter().rev() {
                    let kind = Kind::If(self.boxed(test)?, self.boxed(then)?, Box::new(otherwise));
                    otherwise = self.made(kind);
                }
                otherwise.kind
            }
            Term::Path(head, parts) => {
                let steps =
                    parts.0.iter().map(|(part, opt)| self.step(part, *opt)).collect::<Compiled<_>>()?;
                Kind::Path(self.boxed(head)?, steps)
            }
            // `Compiler::node` handles what binds names.
            Term::Var(_) | Term::Call(..) | Term::Def(..) | Term::Label(..) | Term::Break(_) => {
                Kind::Identity
            }
        })
    }

    fn boxed(&mut self, term: &Term<&str>) -> Compiled<Box<Node>> {
        self.node(term).map(Box::new)
    }

    fn number(&self, digits: &str) -> Compiled<Value> {
        let integer =
            digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from));
        integer.ok().or_else(|| digits.parse().ok().and_then(Number::from_f64)).map(Value::Number).ok_or_else(
            || self.error(format!("expected a number that can be represented, found {digits}"), digits),
        )
    }

    fn text(&mut self, format: Option<&str>, parts: &[StrPart<&str, Term<&str>>]) -> Compiled<Kind> {
        let format = match format {
            None => Format::Text,
            Some(name) => match Format::ALL.iter().find(|entry| entry.0 == name) {
                Some((_, format)) => *format,
                None => return Err(self.error(super::names::unknown_format(name), name)),
            },
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for part in parts {
            let fixed = match part {
                StrPart::Term(term) => {
                    pieces.push(Piece::Computed(self.node(term)?));
                    continue;
                }
                StrPart::Str(s) => (*s).to_owned(),
                StrPart::Char(c) => c.to_string(),
            };
            match pieces.last_mut() {
                Some(Piece::Fixed(text)) => text.push_str(&fixed),
                _ => pieces.push(Piece::Fixed(fixed)),
            }
        }
        Ok(match pieces.as_mut_slice() {
            [] => Kind::Literal(Value::String(String::new())),
            [Piece::Fixed(text)] => Kind::Literal(Value::String(std::mem::take(text))),
            _ => Kind::Text(format, pieces),
        })
    }

    fn entry(&mut self, key: &Term<&str>, value: Option<&Term<&str>>) -> Compiled<(Node, Node)> {
        let key_node = match key {
            Term::Var(name) if value.is_none() => {
                let name = name.strip_prefix('$').unwrap_or(name);
                self.made(Kind::Literal(Value::String(name.to_owned())))
            }
            key => self.node(key)?,
        };
        let value = match (key, value) {
            (_, Some(value)) => self.node(value)?,
            (Term::Var(_), None) => self.node(key)?,
            (key, None) => {
                let step = self.step(&path::Part::Index(key.clone()), path::Opt::Essential)?;
                let head = Box::new(self.made(Kind::Identity));
                self.made(Kind::Path(head, vec![step]))
            }
        };
        Ok((key_node, value))
    }

    fn step(&mut self, part: &path::Part<Term<&str>>, opt: path::Opt) -> Compiled<Step> {
        let mut bound = |term: &Option<Term<&str>>| term.as_ref().map(|term| self.node(term)).transpose();
        let part = match part {
            path::Part::Range(None, None) => Part::Each,
            path::Part::Range(from, to) => Part::Slice(bound(from)?, bound(to)?),
            path::Part::Index(term) => match self.node(term)? {
                Node { kind: Kind::Literal(Value::String(name)), .. } => Part::Field(name),
                node => Part::Index(node),
            },
        };
        Ok(Step { part, optional: matches!(opt, path::Opt::Optional) })
    }

    fn operator(&mut self, a: &Term<&str>, op: &BinaryOp<&str>, b: &Term<&str>) -> Compiled<Kind> {
        if let BinaryOp::Pipe(Some(pattern)) = op {
            let source = self.boxed(a)?;
            let (pattern, variables) = self.pattern(pattern)?;
            let body = self.with_variables(variables, |c| c.boxed(b))?;
            return Ok(Kind::Bind(source, pattern, body));
        }
        if let BinaryOp::Comma = op {
            return self.comma(a, b);
        }
        let (a, b) = (self.boxed(a)?, self.boxed(b)?);
        Ok(match op {
            BinaryOp::Alt => Kind::Alternative(a, b),
            BinaryOp::Or => Kind::Or(a, b),
            BinaryOp::And => Kind::And(a, b),
            BinaryOp::Math(op) => Kind::Math(*op, a, b),
            BinaryOp::Cmp(op) => Kind::Compare(*op, a, b),
            BinaryOp::Assign => Kind::Assign(a, b),
            BinaryOp::Update => Kind::Update(a, b),
            BinaryOp::UpdateMath(op) => Kind::UpdateWith(Change::Math(*op), a, b),
            BinaryOp::UpdateAlt => Kind::UpdateWith(Change::Alternative, a, b),
            BinaryOp::Pipe(_) | BinaryOp::Comma => Kind::Pipe(a, b),
        })
    }

    /// A list as long as one likes does not nest, although its syntax tree does.
    fn comma(&mut self, a: &Term<&str>, b: &Term<&str>) -> Compiled<Kind> {
        let (mut first, mut terms) = (a, vec![b]);
        while let Term::BinOp(left, BinaryOp::Comma, right) = first {
            terms.push(right);
            first = left;
        }
        terms.push(first);
        Ok(Kind::Comma(terms.into_iter().rev().map(|term| self.node(term)).collect::<Compiled<_>>()?))
    }

    fn fold(
        &mut self,
        name: &str,
        source: &Term<&str>,
        pattern: &jaq_core::load::parse::Pattern<&str>,
        arguments: &[Term<&str>],
    ) -> Compiled<Kind> {
        let (start, update, extract) = match (name, arguments) {
            (_, [start, update]) => (start, update, None),
            ("foreach", [start, update, extract]) => (start, update, Some(extract)),
            _ => {
                let wanted = if name == "foreach" { "2 or 3" } else { "2" };
                let message = format!("`{name}` takes {wanted} arguments, found {}", arguments.len());
                return Err(self.error(message, name));
            }
        };
        let source = self.node(source)?;
        let start = self.node(start)?;
        let (pattern, variables) = self.pattern(pattern)?;
        let (update, extract) = self.with_variables(variables, |c| {
            Ok((c.node(update)?, extract.map(|extract| c.boxed(extract)).transpose()?))
        })?;
        let fold = Box::new(Fold { source, pattern, start, update });
        Ok(if name == "foreach" { Kind::Foreach(fold, extract) } else { Kind::Reduce(fold) })
    }
}

fn negated(number: Value) -> Value {
    let negated = match &number {
        Value::Number(n) => super::number::Num::from(n).negate().to_json(),
        _ => None,
    };
    negated.map_or(number, Value::Number)
}
