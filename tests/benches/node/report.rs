//! The table, and the same as JSON.

use serde_json::{Value, json};

/// The figures of a run.
pub struct Report {
    machine: String,
    rows: Vec<(String, f64, &'static str, String)>,
}

impl Report {
    pub fn new(machine: String) -> Self {
        Report { machine, rows: Vec::new() }
    }

    /// Adds a figure with its unit and a remark.
    pub fn add(&mut self, name: &str, value: f64, unit: &'static str, remark: impl Into<String>) {
        eprintln!("{name}: {} {unit}", number(value));
        self.rows.push((name.to_owned(), value, unit, remark.into()));
    }

    pub fn print(&self, as_json: bool) {
        if as_json {
            let figures: Vec<Value> = self
                .rows
                .iter()
                .map(|(name, value, unit, remark)| json!({ "name": name, "value": value, "unit": unit, "remark": remark }))
                .collect();
            println!("{}", json!({ "machine": self.machine, "figures": figures }));
            return;
        }
        println!("{}", self.machine);
        let width = self.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
        for (name, value, unit, remark) in &self.rows {
            let unit_and_remark =
                if remark.is_empty() { (*unit).to_owned() } else { format!("{unit:<12} {remark}") };
            println!("{name:<width$}  {:>12} {unit_and_remark}", number(*value));
        }
    }
}

/// With as many digits as mean something, and spaces between thousands.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value that so many of a hundred do not pass.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}
