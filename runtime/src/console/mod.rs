//! The debug console: a terminal interface on a running cluster, and a client of its HTTP API like any other.
//!
//! [`state::State`] takes keys, the mouse, time and news, and does nothing by itself; [`draw::draw`] makes a screen of it;
//! `fetch` asks the node, and `terminal` is the terminal. Nothing that is shown is kept anywhere.

mod detail;
mod draw;
mod fetch;
mod keys;
mod layout;
mod list;
mod outline;
mod overlay;
mod page;
mod rows;
mod screen;
mod state;
mod svg;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub use self::draw::draw;
pub use self::page::{Content, Detail, News, Order, Overview, Page, Trouble, View, Want};
pub use self::state::{Effect, Input, State};
use crate::cli::client::Client;
use crate::cli::error::CliError;

/// News that nobody has read yet: what asks waits when it is full.
const NEWS_MOST: usize = 16;
/// How a process ends whose terminal hangs up: 128, and the number of the signal.
const HUNG_UP: i32 = 129;
/// Orders that are under way.
const ORDERS_MOST: usize = 4;

/// How to open the console.
pub(crate) struct Options {
    /// The pause between two looks.
    pub(crate) refresh: Duration,
    pub(crate) view: View,
    /// Open this actor or instance.
    pub(crate) actor: Option<String>,
    pub(crate) colours: bool,
    /// What starts an editor.
    pub(crate) editor: String,
}

impl Options {
    fn state(&self, client: &Client, size: Size) -> State {
        let mut state = State::new(client.url(), self.view, size, SystemTime::now());
        if !self.colours {
            state = state.without_colours();
        }
        match &self.actor {
            Some(actor) => state.at(actor),
            None => state,
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start: {error}")))
}

/// Runs the console on this terminal until somebody quits.
pub(crate) fn run(client: Client, options: Options) -> Result<(), CliError> {
    let state = options.state(&client, Size { width: 80, height: 24 });
    let client = Arc::new(client);
    let runtime = runtime()?;
    let (wants, wanted) = watch::channel(state.want());
    let (orders, ordered) = mpsc::channel(ORDERS_MOST);
    let (news, heard) = mpsc::channel(NEWS_MOST);
    runtime.spawn(fetch::contents(client.clone(), wanted, news.clone(), options.refresh));
    runtime.spawn(fetch::overviews(client.clone(), news.clone(), options.refresh));
    runtime.spawn(fetch::orders(client, ordered, wants.clone(), news.clone()));
    runtime.spawn(stop_on_signal(news));
    let ways = terminal::Ways { wants, orders, news: heard, editor: options.editor };
    let ended = terminal::run(state, ways);
    // An answer that is under way is nobody's any more.
    runtime.shutdown_background();
    ended.map_err(|error| CliError::Failed(format!("the terminal failed: {error}")))
}

/// The terminal is given back before the process ends, whoever ends it.
async fn stop_on_signal(news: mpsc::Sender<News>) {
    let (Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    tokio::select! {
        // If nobody listens, it is over already.
        _ = terminate.recv() => drop(news.send(News::Stop).await),
        // The terminal is gone: there is nothing to give back, and whoever reads from it may never return.
        _ = hang_up.recv() => std::process::exit(HUNG_UP),
    }
}

/// What the console shows of the cluster at this moment, as a picture (SVG).
pub(crate) fn screenshot(client: &Client, options: &Options, size: Size) -> Result<String, CliError> {
    let mut state = options.state(client, size);
    runtime()?.block_on(async {
        let mut counts = BTreeMap::new();
        for turn in 0..fetch::TURNS {
            let overview = fetch::overview(client, &mut counts, turn).await;
            if let Err(trouble) = &overview {
                return Err(CliError::Failed(trouble.words().to_owned()));
            }
            state.step(Input::News(News::Overview(overview)));
        }
        let want = state.want();
        let content = fetch::content(client, &want, &mut None).await;
        state.step(Input::Time(SystemTime::now()));
        state.step(Input::News(News::Content { want, content }));
        Ok(())
    })?;
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, size.height));
    draw(&state, &mut buffer);
    Ok(svg::picture(&buffer))
}
