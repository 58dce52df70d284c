//! How long evaluations of common expressions take: the median of many rounds, in nanoseconds.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use impresario_model::expression::{Expression, Fuel, Variables};
use serde_json::{Value, json};

struct Context(Value);

impl Variables for Context {
    fn get(&self, _: &str) -> Option<Cow<'_, Value>> {
        Some(Cow::Borrowed(&self.0))
    }
}

const ROUNDS: usize = 201;
const EVALUATIONS: usize = 200;

fn main() {
    let items: Vec<Value> =
        (0..100).map(|i| json!({"id": i, "name": format!("item {i}"), "price": i * 3})).collect();
    let input = json!({"order": {"customer": {"name": "ada"}, "items": items}, "status": "open", "n": 5});
    let context = Context(json!({"user": {"name": "ada", "roles": ["admin"]}}));
    let rows = [
        ("path", ".order.customer.name"),
        ("variable", "$context.user.name"),
        ("comparison", ".status == \"open\" and .n > 3"),
        ("object", "{name: .order.customer.name, status, total: (.n * 2), by: $context.user.name}"),
        ("text", "\"order of \\(.order.customer.name) is \\(.status)\""),
        ("map over 100", ".order.items | map(.price * 2)"),
        ("select of 100", "[.order.items[] | select(.price > 150) | {id, name}]"),
        ("reduce 1000", "reduce range(1000) as $i (0; . + $i)"),
        ("group 100", ".order.items | group_by(.id % 7) | map(length)"),
        ("update", ".order.items[3].price += 1 | .n"),
        ("test", ".status | test(\"^o\")"),
    ];
    for (name, program) in rows {
        let Ok(expression) = Expression::parse(program, &["context"]) else { continue };
        let mut times: Vec<u128> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..EVALUATIONS {
                    let mut fuel = Fuel(Fuel::PER_EXPRESSION);
                    let _ = black_box(expression.evaluate(black_box(&input), &context, &mut fuel));
                }
                start.elapsed().as_nanos() / EVALUATIONS as u128
            })
            .collect();
        times.sort_unstable();
        println!("{name:>14} {:>9} ns  {program}", times[ROUNDS / 2]);
    }
    let start = Instant::now();
    for _ in 0..EVALUATIONS {
        let _ = black_box(Expression::parse(rows[3].1, &["context"]));
    }
    println!("{:>14} {:>9} ns", "parse object", start.elapsed().as_nanos() / EVALUATIONS as u128);
}
