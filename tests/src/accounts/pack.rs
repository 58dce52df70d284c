//! What the trials run: a process of five activities, three restartable and two not, each of which notes its begin
//! and its end in the ledger.

use std::path::Path;

/// The definition's name.
pub const NAME: &str = "sweep/five";
/// The type of the events that order an instance.
pub const EVENT: &str = "sweep.order";
/// The activities, and whether each is restartable.
pub const TASKS: [(&str, bool); 5] =
    [("reserve", true), ("charge", false), ("pack", true), ("ship", false), ("report", true)];

/// Each line is one write to a file that is opened to append, so lines of different programs do not mix.
pub const SCRIPT: &str = r#"#!/bin/sh
# mark.sh LEDGER TASK ORDER SECONDS
mark() {
    printf '%s %s %s %s %s %s\n' "$1" "$3" "$2" \
        "$IMPRESARIO_ACTIVITY_KEY" "$IMPRESARIO_ACTIVITY_TOKEN" "$IMPRESARIO_ACTIVITY_ATTEMPT" >> "$ledger"
}
ledger="$1"
mark begin "$2" "$3"
sleep "$4"
mark end "$2" "$3"
"#;

/// The definition. `charge` lies in a `try` that catches everything: an interruption must not be caught.
pub fn definition(script: &Path, ledger: &Path) -> String {
    let (script, ledger) = (script.display(), ledger.display());
    let shell = |task: &str| {
        format!(
            "run: {{ shell: {{ command: 'sh {script} {ledger} {task} \"$1\" \"$2\"', arguments: [ '${{ .order }}', '${{ .work }}' ] }}, return: none }}"
        )
    };
    let call = |task: &str| {
        format!(
            "call: command:1.0.0@default\n      with:\n        program: sh\n        arguments: [ {script}, {ledger}, \
             {task}, '${{ .order }}', '${{ .work }}' ]\n        return: none"
        )
    };
    let again = "metadata: { ops: { restartWhenInterrupted: true } }";
    let keep = "output: { as: '$input' }";
    let (reserve, charge, pack, ship, report) =
        (shell("reserve"), shell("charge"), call("pack"), call("ship"), shell("report"));
    format!(
        "document: {{ dsl: '1.0.3', namespace: sweep, name: five, version: '1.0.0' }}
schedule:
  on: {{ one: {{ with: {{ type: {EVENT} }} }} }}
input:
  from: 'if type == \"array\" then .[0].data else . end'
do:
  - reserve:
      {reserve}
      {again}
      {keep}
  - guarded:
      try:
        - charge:
            {charge}
            {keep}
      catch: {{}}
  - pack:
      {pack}
      {again}
      {keep}
  - ship:
      {ship}
      {keep}
  - report:
      {report}
      {again}
      {keep}
"
    )
}
