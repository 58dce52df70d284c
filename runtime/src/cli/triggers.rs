//! `triggers`: what starts instances, and an operator's orders on it.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::approve::{self, Approve};
use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::style::{BAD, FAINT, GOOD, HEADING, PAUSED, of_status};
use super::table::{Cell, table};
use super::{input, page};
use crate::orchestrator::{Started, TriggerSummary};
use crate::triggers::{
    FireRequest, PauseRequest, RecentWindow, TRIGGERS_PAGE, TestReply, TestRequest, TestedEvent,
    TriggerDetail,
};

/// How many recent events a filter is tried on if nothing is said.
const RECENT: &str = "20";
/// How many times of a plan a page has; `--json` has all.
const PLANNED_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Triggers {
    #[command(subcommand)]
    command: Option<TriggersCommand>,
    #[command(flatten)]
    folder: Folder,
}

impl Triggers {
    /// The data folder, before or after the word that follows.
    pub(super) fn folder(&self) -> &Folder {
        use TriggersCommand as C;
        let inner = self.command.as_ref().map(|command| match command {
            C::List(ListTriggers { folder, .. })
            | C::Show { folder, .. }
            | C::Pause { folder, .. }
            | C::Resume { folder, .. }
            | C::Fire { folder, .. }
            | C::Test { folder, .. }
            | C::Approve(Approve { folder, .. }) => folder,
        });
        inner.filter(|folder| folder.data.is_some()).unwrap_or(&self.folder)
    }
}

#[derive(Debug, Args)]
struct ListTriggers {
    /// Only those in this state: enabled, paused, problem or disarmed.
    #[arg(long)]
    state: Option<String>,
    /// Only those whose names begin so, such as NAMESPACE/.
    #[arg(long)]
    prefix: Option<String>,
    /// Only those whose names come after this one: the last of the page before.
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = TRIGGERS_PAGE)]
    limit: usize,
    #[command(flatten)]
    folder: Folder,
}

impl ListTriggers {
    async fn ask(self, client: &Client) -> Result<Vec<TriggerSummary>, CliError> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.state.map(|state| ("state", state)));
        query.extend(self.prefix.map(|prefix| ("prefix", prefix)));
        query.extend(self.after.map(|after| ("after", after)));
        client.query("/api/v1/triggers", &query).await
    }
}

#[derive(Debug, Subcommand)]
enum TriggersCommand {
    /// List them, by name.
    List(ListTriggers),
    /// Show one: its options, what waits to be complete, what it passed over, and its last fires.
    Show {
        /// The trigger, or its definition if that has only one: namespace/name.
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Have it start nothing until it is resumed: also after a restart, and with a new version of its definition.
    Pause {
        /// The trigger, or its definition if that has only one: namespace/name.
        name: String,
        /// Why, for whoever looks.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
    /// Undo a pause. A schedule makes up for what it missed as its misfire rule says.
    Resume {
        /// The trigger, or its definition if that has only one: namespace/name.
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Decide about the times that a schedule missed, where its misfire rule is `plan`.
    Approve(Approve),
    /// Start an instance as the trigger would, now: even while it is paused, and beyond its limits.
    Fire {
        /// The trigger, or its definition if that has only one: namespace/name.
        name: String,
        /// The input of the instance: JSON, @FILE or - for standard input. A schedule needs none.
        #[arg(long, value_name = "JSON", conflicts_with = "event")]
        input: Option<String>,
        /// The event that the instance gets: a CloudEvent in JSON, of a file or - for standard input.
        #[arg(long, value_name = "FILE")]
        event: Option<String>,
        /// An idempotency key: the same key fires a trigger at most once.
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
    /// Tell whether events match a trigger, and why. Nothing is started.
    Test {
        /// The trigger, or its definition if that has only one: namespace/name.
        name: String,
        /// A CloudEvent in JSON, of a file or - for standard input.
        #[arg(long, value_name = "FILE", required_unless_present = "recent", conflicts_with = "recent")]
        event: Option<String>,
        /// So many of the events that came last through the doors of the nodes.
        #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = RECENT)]
        recent: Option<usize>,
        #[command(flatten)]
        folder: Folder,
    },
}

pub(super) async fn run(global: &Global, client: &Client, asked: Triggers) -> Result<ExitCode, CliError> {
    use TriggersCommand as C;
    match asked.command {
        None => {
            let list: Vec<TriggerSummary> = client.get("/api/v1/triggers").await?;
            page::print(global, &list, |list| render_list(list, TRIGGERS_PAGE))
        }
        Some(C::List(asked)) => {
            let limit = asked.limit;
            let list = asked.ask(client).await?;
            page::print(global, &list, |list| render_list(list, limit))
        }
        Some(C::Show { name, .. }) => {
            let trigger: TriggerDetail = client.get_at(&["api", "v1", "triggers", &name]).await?;
            page::print(global, &trigger, |trigger| render_trigger(trigger, SystemTime::now()))
        }
        Some(C::Pause { name, reason, .. }) => {
            let trigger: TriggerDetail = order(client, &name, "pause", &PauseRequest { reason }).await?;
            page::print(global, &trigger, |trigger| {
                format!(
                    "{GOOD}paused{GOOD:#} {}: it starts nothing until it is resumed\n",
                    trigger.summary.name
                )
            })
        }
        Some(C::Resume { name, .. }) => {
            let trigger: TriggerDetail = order(client, &name, "resume", &()).await?;
            page::print(global, &trigger, |trigger| {
                let next = trigger.summary.next_fire.as_ref();
                let next = next.map_or_else(String::new, |next| format!(": its next time is {next}"));
                format!("{GOOD}resumed{GOOD:#} {}{next}\n", trigger.summary.name)
            })
        }
        Some(C::Approve(asked)) => approve::run(global, client, asked).await,
        Some(C::Fire { name, input, event, key, .. }) => {
            let input = input.as_deref().map(|text| input::json("--input", text)).transpose()?;
            let event = event.as_deref().map(|path| input::file("--event", path)).transpose()?;
            let started: Started = order(client, &name, "fire", &FireRequest { input, event, key }).await?;
            page::print(global, &started, |started| {
                let word = if started.created { "started" } else { "exists already" };
                format!(
                    "{GOOD}{word}{GOOD:#} {} of {} {FAINT}(durable: {}){FAINT:#}\n",
                    started.id, started.definition, started.durability
                )
            })
        }
        Some(C::Test { name, event, recent, .. }) => {
            let event: Option<Value> =
                event.as_deref().map(|path| input::file("--event", path)).transpose()?;
            let reply: TestReply = order(client, &name, "test", &TestRequest { event, recent }).await?;
            page::print(global, &reply, render_test)
        }
    }
}

/// Posts an order; names may have any character.
pub(super) async fn order<T: DeserializeOwned>(
    client: &Client,
    name: &str,
    word: &str,
    body: &impl Serialize,
) -> Result<T, CliError> {
    client.post_at(&["api", "v1", "triggers", name, word], body).await
}

fn render_list(triggers: &[TriggerSummary], limit: usize) -> String {
    let mut page = render_triggers(triggers);
    if let Some(last) = triggers.last().filter(|_| triggers.len() >= limit) {
        page.push_str(&format!("{FAINT}more: --after {}{FAINT:#}\n", last.name));
    }
    page
}

/// The page of `triggers`.
pub fn render_triggers(triggers: &[TriggerSummary]) -> String {
    if triggers.is_empty() {
        return "no triggers\n".to_owned();
    }
    let headings = ["TRIGGER", "STATE", "WATCHES", "STARTS", "FIRED", "SUPPRESSED", "LAST", "NEXT"];
    let rows = triggers.iter().map(|trigger| {
        let time = |time: &Option<String>| Cell::styled(time.clone().unwrap_or_default(), FAINT);
        let watches = match &trigger.problem {
            None => trigger.watches.clone(),
            Some(problem) => format!("{} (cannot watch: {problem})", trigger.watches),
        };
        [
            Cell::new(&trigger.name),
            Cell::styled(&trigger.state, of_status(&trigger.state)),
            Cell::new(watches),
            Cell::new(&trigger.definition),
            Cell::new(trigger.fired.to_string()),
            Cell::new(trigger.suppressed.to_string()),
            time(&trigger.last_fire),
            time(&trigger.next_fire),
        ]
    });
    let mut page = table(headings, rows);
    for trigger in triggers.iter().filter(|trigger| trigger.planned > 0) {
        page.push_str(&format!(
            "{PAUSED}{}{PAUSED:#}: {} that it missed wait for a decision: `impresario triggers show {}`\n",
            trigger.name,
            approve::times(trigger.planned),
            trigger.name
        ));
    }
    for trigger in triggers.iter().filter(|trigger| trigger.failed > 0) {
        page.push_str(&format!(
            "{BAD}{}{BAD:#}: an expression failed on {} events: `impresario triggers show {}`\n",
            trigger.name, trigger.failed, trigger.name
        ));
    }
    page
}

/// The page of `triggers show`.
pub fn render_trigger(trigger: &TriggerDetail, now: SystemTime) -> String {
    let summary = &trigger.summary;
    let style = of_status(&summary.state);
    let mut page = format!("{HEADING}{}{HEADING:#}  {style}{}{style:#}\n", summary.name, summary.state);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            page.push_str(&format!("  {FAINT}{name:<12}{FAINT:#} {value}\n"));
        }
    };
    let ago = |time: &str| format!("{time} ({} ago)", page::age(time, now));
    line("problem", summary.problem.clone().unwrap_or_default());
    if let Some(paused) = &trigger.paused {
        let why = paused.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        line("paused", format!("since {}{why}", ago(&paused.since)));
    }
    line("watches", summary.watches.clone());
    line("on days of", summary.calendar.clone().unwrap_or_default());
    line("starts", summary.definition.clone());
    for (name, words) in &trigger.options {
        line(name, words.clone());
    }
    line("fired", summary.fired.to_string());
    line("last", summary.last_fire.as_deref().map(ago).unwrap_or_default());
    line("next", summary.next_fire.clone().unwrap_or_default());
    if let Some(missed) = &trigger.missed {
        let more = if missed.more { " and more" } else { "" };
        let (count, first, last, rule) =
            (approve::times(missed.count), &missed.first, &missed.last, &missed.rule);
        line("missed", format!("{count}{more} from {first} to {last}, {rule}"));
    }
    if summary.skipped > 0 {
        line("skipped", approve::times(usize::try_from(summary.skipped).unwrap_or(usize::MAX)));
    }
    if let Some(plan) = &trigger.plan {
        let more = if plan.more { " and more, which are skipped" } else { "" };
        let count = approve::times(plan.times.len());
        line(
            "plan",
            format!("{count}{more} wait since {}: `triggers approve {}`", ago(&plan.since), summary.name),
        );
        let shown = plan.times.len().min(PLANNED_SHOWN);
        plan.times[..shown].iter().for_each(|time| line("", format!("  {time}")));
        if plan.times.len() > shown {
            line("", format!("  and {} more, the last at {}", plan.times.len() - shown, plan.last));
        }
    }
    let passed = &trigger.passed;
    if summary.matched > 0 {
        line("matched", format!("{} events", summary.matched));
    }
    for (count, words) in [
        (passed.paused, "events while it was paused"),
        (passed.inactive, "events out of its hours and days"),
        (passed.limited, "fires beyond its rate"),
        (passed.expired, "sets that waited too long"),
        (passed.dropped, "sets and events that there was no room for"),
    ] {
        if count > 0 {
            line("passed over", format!("{count} {words}"));
        }
    }
    if passed.failed > 0 {
        let why = passed.failure.as_deref().unwrap_or_default();
        line("failed", format!("{BAD}on {} events{BAD:#}, the last time: {why}", passed.failed));
    }
    for set in &trigger.sets {
        let keys: Vec<String> = set.keys.iter().map(|(key, value)| format!("{key} {value}")).collect();
        let keys = if keys.is_empty() { String::new() } else { format!(" of {}", keys.join(", ")) };
        let (events, waits_for, until) = (set.events, &set.waits_for, &set.until);
        line("waits", format!("{events} events{keys}, for {waits_for}, until {until}"));
    }
    if summary.waiting > trigger.sets.len() {
        line("waits", format!("{} more sets", summary.waiting - trigger.sets.len()));
    }
    if !trigger.history.is_empty() {
        page.push_str(&format!("\n{HEADING}last fires{HEADING:#}\n"));
        for fire in &trigger.history {
            page.push_str(&format!("  {FAINT}{}{FAINT:#}  {}  {}\n", fire.at, fire.instance, fire.cause));
        }
    }
    page
}

/// The page of `triggers test`.
pub fn render_test(reply: &TestReply) -> String {
    let mut page = String::new();
    for event in &reply.events {
        page.push_str(&tested(event));
    }
    if let Some(window) = &reply.window {
        let matching = reply.events.iter().filter(|event| event.matches || event.ends).count();
        page.push_str(&format!("{matching} of {} events match {}\n", reply.events.len(), reply.trigger));
        page.push_str(&window_words(window));
    }
    page
}

fn tested(event: &TestedEvent) -> String {
    let (style, word) = match (event.matches, event.ends) {
        (true, _) => (GOOD, "matches"),
        (false, true) => (GOOD, "ends what waits"),
        (false, false) => (BAD, "does not match"),
    };
    let mut page = format!("{style}{word}{style:#}  {} {} of {}\n", event.kind, event.id, event.source);
    for filter in &event.filters {
        let (style, word) = verdict(filter.matches);
        page.push_str(&format!("  {HEADING}{}{HEADING:#} {style}{word}{style:#}\n", filter.name));
        for part in &filter.parts {
            let (style, word) = verdict(part.matches);
            let found =
                part.found.as_ref().map_or_else(|| "nothing".to_owned(), |found| format!("'{found}'"));
            let why = match &part.failure {
                Some(failure) => format!("failed: {failure}"),
                None => format!("found {found}"),
            };
            let (name, wanted) = (&part.name, &part.wanted);
            page.push_str(&format!("    {style}{word:<14}{style:#} {name}: wants {wanted}, {why}\n"));
        }
    }
    page
}

fn verdict(matches: bool) -> (anstyle::Style, &'static str) {
    if matches { (GOOD, "matches") } else { (BAD, "does not match") }
}

/// How far back recent events go.
pub(super) fn window_words(window: &RecentWindow) -> String {
    let unheard = match window.unheard.is_empty() {
        true => String::new(),
        false => format!("; no answer from {}", window.unheard.join(", ")),
    };
    format!(
        "{FAINT}nodes remember the newest {} events that came through their doors each; {} are there{unheard}{FAINT:#}\n",
        window.most, window.kept
    )
}
