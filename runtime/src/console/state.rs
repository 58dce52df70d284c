//! The state of the console, and how it changes: keys, the mouse, time and news in, at most one effect out. It does nothing
//! by itself, so a test can be the terminal, the clock and the cluster.

use std::time::{Duration, SystemTime};

use ratatui::crossterm::event::{KeyEvent, MouseEvent};
use ratatui::layout::Size;
use serde_json::Value;

use super::layout;
use super::page::{News, Order, Overview, Page, Trouble, View, Want};
use super::screen::Screen;

/// How long a message stays, if nobody presses a key.
const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// How many pages can be opened over each other; the oldest are closed.
const PAGES_MOST: usize = 16;

/// What happens to the console.
#[derive(Clone, Debug)]
pub enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The terminal has this size.
    Size(Size),
    /// It is so late.
    Time(SystemTime),
    /// Something came from the cluster.
    News(News),
    /// Somebody has edited the entry of an actor that was set aside.
    Edited {
        /// The actor.
        actor: String,
        /// The offset of the entry.
        entry: String,
        /// The entry; nothing if it is as it was.
        body: Result<Option<Value>, String>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End.
    Quit,
    /// Tell the cluster.
    Order(Order),
    /// Have somebody edit the entry of an actor, and answer with [`Input::Edited`].
    Edit {
        /// The actor.
        actor: String,
        /// The offset of the entry.
        entry: String,
        /// The entry.
        body: Value,
    },
}

/// Whether the node answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Link {
    /// It was not asked yet.
    New,
    /// It does.
    Up,
    /// It does not, since then.
    Down(SystemTime, String),
}

/// What is over the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Overlay {
    None,
    Help,
    Confirm(Order),
    /// Somebody types what to look for; the filter that was there before.
    Filter(String),
    /// Somebody types an id.
    Open(String),
}

/// Something to read in the last line.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) good: bool,
    until: SystemTime,
}

/// The console.
#[derive(Debug)]
pub struct State {
    pub(super) view: View,
    screens: Vec<Screen>,
    /// What was opened over the tabs.
    pub(super) opened: Vec<Screen>,
    pub(super) overlay: Overlay,
    pub(super) overview: Overview,
    pub(super) link: Link,
    pub(super) message: Option<Message>,
    pub(super) size: Size,
    pub(super) now: SystemTime,
    pub(super) url: String,
    /// Colours are shown.
    pub(super) colours: bool,
    /// How long the last frame took, once somebody wants to know.
    pub(super) figures: bool,
    pub(super) drawn: Duration,
}

impl State {
    /// A console that knows nothing yet.
    pub fn new(url: &str, view: View, size: Size, now: SystemTime) -> State {
        State {
            view,
            screens: View::ALL.iter().map(|view| Screen::new(Page::View(*view))).collect(),
            opened: Vec::new(),
            overlay: Overlay::None,
            overview: Overview::default(),
            link: Link::New,
            message: None,
            size,
            now,
            url: url.to_owned(),
            colours: true,
            figures: false,
            drawn: Duration::ZERO,
        }
    }

    /// The same without any colour.
    pub fn without_colours(mut self) -> State {
        self.colours = false;
        self
    }

    /// The same with the detail of an actor or instance.
    pub fn at(mut self, id: &str) -> State {
        self.open_id(id);
        self
    }

    /// What has to be asked for now.
    pub fn want(&self) -> Want {
        self.screen().want()
    }

    /// Notes how long a frame took.
    pub fn note_drawn(&mut self, took: Duration) {
        self.drawn = took;
    }

    /// Takes what happened.
    pub fn step(&mut self, input: Input) -> Option<Effect> {
        match input {
            Input::Key(key) => self.key(key),
            Input::Mouse(mouse) => {
                self.mouse(mouse);
                None
            }
            Input::Size(size) => {
                self.size = size;
                let height = self.height();
                self.screen_mut().list.scroll(height);
                None
            }
            Input::Time(now) => {
                self.time(now);
                None
            }
            Input::News(news) => self.news(news),
            Input::Edited { actor, entry, body } => {
                self.edited(actor, entry, body);
                None
            }
        }
    }

    fn time(&mut self, now: SystemTime) {
        let second =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let older = second(self.now) != second(now);
        self.now = now;
        if self.message.as_ref().is_some_and(|message| message.until <= now) {
            self.message = None;
        }
        if older {
            // What tells of ages is a second older.
            let height = self.height();
            self.screen_mut().grow_older(now, height);
        }
    }

    fn news(&mut self, news: News) -> Option<Effect> {
        match news {
            News::Stop => return Some(Effect::Quit),
            News::Ordered(Ok(text)) => self.say(true, text),
            News::Ordered(Err(text)) => self.say(false, text),
            News::Overview(Ok(overview)) => {
                self.overview = overview;
                self.link = Link::Up;
            }
            News::Overview(Err(trouble)) => self.lost(&trouble),
            News::Content { want, content } => {
                // What comes for a page that was left, or asked otherwise, is too late.
                if want == self.want() {
                    let now = self.now;
                    let height = self.height();
                    self.screen_mut().take(content, now, height);
                    // A sentence over the rows may take some of their room.
                    let height = self.height();
                    self.screen_mut().list.scroll(height);
                }
            }
        }
        None
    }

    fn lost(&mut self, trouble: &Trouble) {
        let since = match &self.link {
            Link::Down(since, _) => *since,
            Link::New | Link::Up => self.now,
        };
        self.link = Link::Down(since, trouble.words().to_owned());
    }

    fn edited(&mut self, actor: String, entry: String, body: Result<Option<Value>, String>) {
        match body {
            Ok(Some(body)) => {
                let order = crate::inspect::QuarantineOrder::Edit { body };
                self.overlay = Overlay::Confirm(Order::Quarantine { actor, entry: Some(entry), order });
            }
            Ok(None) => self.say(true, "the entry is as it was: nothing is sent".to_owned()),
            Err(text) => self.say(false, text),
        }
    }

    pub(super) fn say(&mut self, good: bool, text: String) {
        self.message = Some(Message { text, good, until: self.now + MESSAGE_TIME });
    }

    /// What fills the screen.
    pub(super) fn screen(&self) -> &Screen {
        self.opened.last().unwrap_or(&self.screens[self.view.index()])
    }

    pub(super) fn screen_mut(&mut self) -> &mut Screen {
        self.opened.last_mut().unwrap_or(&mut self.screens[self.view.index()])
    }

    /// How many rows are on the screen.
    pub(super) fn height(&self) -> usize {
        usize::from(layout::rows(self.screen(), layout::areas(self.size).body).height)
    }

    /// Goes to a tab.
    pub(super) fn go_to(&mut self, view: View) {
        self.opened.clear();
        self.view = view;
        let (now, height) = (self.now, self.height());
        self.screen_mut().build(now, height);
    }

    /// Opens a page over the others.
    pub(super) fn open(&mut self, page: Page) {
        if self.screen().page == page {
            return;
        }
        if self.opened.len() >= PAGES_MOST {
            self.opened.remove(0);
        }
        let now = self.now;
        self.opened.push(Screen::new(page));
        let height = self.height();
        self.screen_mut().build(now, height);
    }

    /// Opens what an id or the beginning of one names.
    pub(super) fn open_id(&mut self, id: &str) {
        let id = id.trim();
        if !id.is_empty() {
            let actor = if id.contains('/') { id.to_owned() } else { format!("process/{id}") };
            self.open(Page::Detail(actor));
        }
    }
}
