//! `try`, `catch` and `retry`.

use serde_json::Value;

use super::leaf;
use super::poll::{self, Flow};
use super::run::{ListRun, TryPhase, TryRun};
use super::turn::{At, Scope, Turn};
use crate::definition::{Backoff, Catch, Delay, Retry, Task, TaskId, Then};
use crate::fault::{Fault, FaultKind};

/// Begins the first attempt.
pub(super) fn begin(turn: &mut Turn<'_>, catch: &Catch, input: &Value, at: At<'_>) -> Result<TryRun, Fault> {
    let attempt_deadline = attempt_deadline(turn, catch, input, at)?;
    let phase = TryPhase::Body(ListRun::new(input.clone()));
    Ok(TryRun { retries: 0, first: turn.now, attempt_deadline, phase })
}

fn attempt_deadline(
    turn: &mut Turn<'_>,
    catch: &Catch,
    input: &Value,
    at: At<'_>,
) -> Result<Option<u64>, Fault> {
    let duration = catch.retry.as_ref().and_then(|retry| retry.attempt_duration.as_ref());
    Ok(match duration {
        None => None,
        Some(duration) => {
            let after: u64 = turn.evaluate(duration, input, at, "limit.attempt.duration")?;
            Some(turn.now.saturating_add(after))
        }
    })
}

/// Polls a `try`; `then` changes where a `catch` says so.
#[expect(clippy::too_many_arguments, reason = "the parts of one task under way, borrowed separately")]
pub(super) fn poll(
    turn: &mut Turn<'_>,
    task: &Task,
    body: &[TaskId],
    catch: &Catch,
    run: &mut TryRun,
    input: &Value,
    at: At<'_>,
    then: &mut Then,
) -> Flow {
    loop {
        match &mut run.phase {
            TryPhase::Body(list) => {
                let timed_out = run.attempt_deadline.is_some_and(|deadline| deadline <= turn.now);
                let flow = if timed_out {
                    abandon_list(turn, list);
                    Flow::Fault(Fault::new(
                        FaultKind::Timeout,
                        "Timed out",
                        format!("an attempt of '{}' did not end in time", task.name),
                        &task.pointer,
                    ))
                } else {
                    poll::list(turn, body, list, at.scope)
                };
                let Flow::Fault(fault) = flow else { return flow };
                match decide(turn, catch, run, fault, input, at) {
                    Err(fault) => return Flow::Fault(fault),
                    Ok(Decision::Rethrow(fault)) => return Flow::Fault(fault),
                    Ok(Decision::Swallow) => {
                        *then = catch.then.unwrap_or(*then);
                        return Flow::Done(input.clone());
                    }
                    Ok(Decision::Go(phase)) => run.phase = phase,
                }
            }
            TryPhase::Backoff { until, .. } => {
                if *until > turn.now || turn.exhausted() {
                    return Flow::Pending;
                }
                run.retries += 1;
                run.attempt_deadline = match attempt_deadline(turn, catch, input, at) {
                    Ok(deadline) => deadline,
                    Err(fault) => return Flow::Fault(fault),
                };
                run.phase = TryPhase::Body(ListRun::new(input.clone()));
            }
            TryPhase::Catch { fault, list } => {
                let error = fault.to_value();
                let scope = Scope { parent: at.scope, name: &catch.variable, value: &error };
                let handler = catch.body.as_deref().unwrap_or_default();
                let flow = poll::list(turn, handler, list, Some(&scope));
                if let Flow::Done(_) = flow {
                    *then = catch.then.unwrap_or(*then);
                }
                return flow;
            }
        }
    }
}

fn abandon_list(turn: &mut Turn<'_>, list: &ListRun) {
    if let Some(current) = &list.current {
        leaf::abandon(turn, current);
    }
}

enum Decision {
    /// Go on with another phase.
    Go(TryPhase),
    /// The `try` completes with its input.
    Swallow,
    /// The fault goes on outwards.
    Rethrow(Fault),
}

/// What becomes of a fault of the body: match, then retry, then the handler.
fn decide(
    turn: &mut Turn<'_>,
    catch: &Catch,
    run: &TryRun,
    fault: Fault,
    input: &Value,
    at: At<'_>,
) -> Result<Decision, Fault> {
    let error = fault.to_value();
    if fault.uncatchable || !catch.filter.matches(&error) {
        return Ok(Decision::Rethrow(fault));
    }
    let scope = Scope { parent: at.scope, name: &catch.variable, value: &error };
    let at = At { scope: Some(&scope), ..at };
    if let Some(when) = &catch.when
        && !turn.holds(when, input, at, "catch.when")?
    {
        return Ok(Decision::Rethrow(fault));
    }
    if let Some(except) = &catch.except_when
        && turn.holds(except, input, at, "catch.exceptWhen")?
    {
        return Ok(Decision::Rethrow(fault));
    }
    if let Some(retry) = &catch.retry {
        if let Some(until) = next_attempt(turn, retry, run, input, at)? {
            return Ok(Decision::Go(TryPhase::Backoff { until, fault }));
        }
        if catch.body.is_none() && catch.then.is_none() {
            return Ok(Decision::Rethrow(fault));
        }
    }
    Ok(match catch.body {
        None => Decision::Swallow,
        Some(_) => Decision::Go(TryPhase::Catch { fault, list: ListRun::new(input.clone()) }),
    })
}

/// When the next attempt begins, or none when there is none.
fn next_attempt(
    turn: &mut Turn<'_>,
    retry: &Retry,
    run: &TryRun,
    input: &Value,
    at: At<'_>,
) -> Result<Option<u64>, Fault> {
    if retry.max_retries.is_some_and(|most| run.retries >= most) {
        return Ok(None);
    }
    if let Some(when) = &retry.when
        && !turn.holds(when, input, at, "retry.when")?
    {
        return Ok(None);
    }
    if let Some(except) = &retry.except_when
        && turn.holds(except, input, at, "retry.exceptWhen")?
    {
        return Ok(None);
    }
    let base = evaluate(turn, retry.delay.as_ref(), input, at, "retry.delay")?;
    let mut wait = grow(base, retry.backoff, run.retries + 1);
    if let Some((from, to)) = &retry.jitter {
        let from = evaluate(turn, Some(from), input, at, "retry.jitter.from")?;
        let to = evaluate(turn, Some(to), input, at, "retry.jitter.to")?;
        wait = wait.saturating_add(turn.uniform(from, to.max(from)));
    }
    let until = turn.now.saturating_add(wait);
    if let Some(total) = &retry.total_duration {
        let total: u64 = turn.evaluate(total, input, at, "limit.duration")?;
        if until > run.first.saturating_add(total) {
            return Ok(None);
        }
    }
    Ok(Some(until))
}

fn evaluate(
    turn: &mut Turn<'_>,
    delay: Option<&Delay>,
    input: &Value,
    at: At<'_>,
    field: &str,
) -> Result<u64, Fault> {
    delay.map_or(Ok(0), |delay| turn.evaluate(delay, input, at, field))
}

/// The longest delay between two attempts, however it grows: 365 days in milliseconds.
const LONGEST_DELAY_MS: u64 = 365 * 24 * 3_600_000;

fn grow(base: u64, backoff: Backoff, retry: u64) -> u64 {
    let grown = match backoff {
        Backoff::Constant => base,
        Backoff::Linear => base.saturating_mul(retry),
        Backoff::Exponential { factor, max_ms } => {
            let exponent = i32::try_from(retry - 1).unwrap_or(i32::MAX);
            // Rounding to whole milliseconds is meant; a float beyond u64 saturates.
            let grown = (base as f64 * factor.powi(exponent)) as u64;
            grown.min(max_ms.unwrap_or(u64::MAX))
        }
    };
    grown.min(LONGEST_DELAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_as_their_backoff_says() {
        let exponential = Backoff::Exponential { factor: 2.0, max_ms: Some(5_000) };
        let table = [
            (Backoff::Constant, [1000, 1000, 1000, 1000]),
            (Backoff::Linear, [1000, 2000, 3000, 4000]),
            (exponential, [1000, 2000, 4000, 5000]),
        ];
        for (backoff, expected) in table {
            let delays: Vec<u64> = (1..=4).map(|retry| grow(1000, backoff, retry)).collect();
            assert_eq!(delays, expected, "{backoff:?}");
        }
        let endless = Backoff::Exponential { factor: 2.0, max_ms: None };
        assert_eq!(grow(1000, endless, 10_000), LONGEST_DELAY_MS);
    }
}
