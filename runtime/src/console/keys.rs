//! What keys and the mouse do.

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use super::layout;
use super::list::Move;
use super::page::{Content, Order, Page, View};
use super::screen::{Body, SEVERITIES, STATUSES};
use super::state::{Effect, Overlay, State};
use crate::inspect::{QuarantineOrder, QuarantinedActor};

/// The longest text that can be typed.
const TYPED_MOST: usize = 200;
/// How far one notch of the wheel goes.
const WHEEL: isize = 3;

impl State {
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Some(Effect::Quit);
        }
        self.message = None;
        match std::mem::replace(&mut self.overlay, Overlay::None) {
            Overlay::None => self.page_key(key),
            // Any key closes it.
            Overlay::Help => None,
            Overlay::Confirm(order) => self.confirm_key(key, order),
            Overlay::Filter(before) => {
                self.filter_key(key, before);
                None
            }
            Overlay::Open(typed) => {
                self.open_key(key, typed);
                None
            }
        }
    }

    fn confirm_key(&mut self, key: KeyEvent, order: Order) -> Option<Effect> {
        match (key.code, order) {
            (KeyCode::Char('y' | 'Y'), order) => Some(Effect::Order(order)),
            (KeyCode::Char('a' | 'A'), Order::Restart { adapter, node: Some(_) }) => {
                Some(Effect::Order(Order::Restart { adapter, node: None }))
            }
            (KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc, _) => {
                self.say(true, "nothing was done".to_owned());
                None
            }
            (_, order) => {
                self.overlay = Overlay::Confirm(order);
                None
            }
        }
    }

    fn filter_key(&mut self, key: KeyEvent, before: String) {
        let height = self.height();
        let screen = self.screen_mut();
        match key.code {
            KeyCode::Enter => {
                // The tail asks the node, which finds the text in the whole of an entry.
                if screen.page == Page::View(View::Entries) {
                    let text = std::mem::take(&mut screen.list.filter);
                    if text != screen.text {
                        screen.text = text;
                        screen.held.clear();
                        screen.forget();
                    }
                }
            }
            KeyCode::Esc => screen.list.filter = before,
            KeyCode::Backspace => {
                screen.list.filter.pop();
                self.overlay = Overlay::Filter(before);
            }
            KeyCode::Char(character) => {
                if screen.list.filter.chars().count() < TYPED_MOST {
                    screen.list.filter.push(character);
                }
                self.overlay = Overlay::Filter(before);
            }
            _ => self.overlay = Overlay::Filter(before),
        }
        self.screen_mut().arrange(false, height);
    }

    fn open_key(&mut self, key: KeyEvent, mut typed: String) {
        match key.code {
            KeyCode::Enter => return self.open_id(&typed),
            KeyCode::Esc => return,
            KeyCode::Backspace => {
                typed.pop();
            }
            KeyCode::Char(character) if typed.chars().count() < TYPED_MOST => typed.push(character),
            _ => {}
        }
        self.overlay = Overlay::Open(typed);
    }

    fn page_key(&mut self, key: KeyEvent) -> Option<Effect> {
        let height = self.height();
        let page = height.saturating_sub(1).max(1) as isize;
        let movement = match key.code {
            KeyCode::Up | KeyCode::Char('k') => Some(Move::By(-1)),
            KeyCode::Down | KeyCode::Char('j') => Some(Move::By(1)),
            KeyCode::PageUp => Some(Move::By(-page)),
            KeyCode::PageDown => Some(Move::By(page)),
            KeyCode::Home | KeyCode::Char('g') => Some(Move::First),
            KeyCode::End | KeyCode::Char('G') => Some(Move::Last),
            _ => None,
        };
        if let Some(movement) = movement {
            self.screen_mut().go(movement, height);
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('?') => self.overlay = Overlay::Help,
            KeyCode::F(12) => self.figures = !self.figures,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(View::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='8') => self.go_to(View::ALL[digit as usize - '1' as usize]),
            KeyCode::Char('/') => {
                let screen = self.screen_mut();
                let before = screen.list.filter.clone();
                // What the node looks for in the tail can be changed.
                if screen.page == Page::View(View::Entries) {
                    screen.list.filter = screen.text.clone();
                }
                screen.arrange(false, height);
                self.overlay = Overlay::Filter(before);
            }
            KeyCode::Char('o') => self.overlay = Overlay::Open(String::new()),
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Left | KeyCode::Char('h') => {
                if !self.screen_mut().fold(Some(false), height) {
                    self.screen_mut().up(height);
                }
            }
            KeyCode::Right | KeyCode::Char('l') => {
                self.screen_mut().fold(Some(true), height);
            }
            KeyCode::Char('*') => self.screen_mut().fold_all(true, height),
            KeyCode::Char('-') => self.screen_mut().fold_all(false, height),
            KeyCode::Enter => self.enter(),
            KeyCode::Char('a') => match self.screen().actor() {
                Some(actor) => self.open(Page::Detail(actor)),
                None => self.say(false, "this row is about no actor".to_owned()),
            },
            KeyCode::Char('T') => self.trace(),
            _ => return self.view_key(key),
        }
        None
    }

    /// Keys that mean something on one page only.
    fn view_key(&mut self, key: KeyEvent) -> Option<Effect> {
        let (now, height) = (self.now, self.height());
        match (&self.screen().page, key.code) {
            (Page::View(View::Instances), KeyCode::Char('f')) => self.choose(STATUSES.len()),
            (Page::View(View::Events), KeyCode::Char('f')) => self.choose(SEVERITIES.len()),
            (Page::View(View::Instances | View::Triggers), KeyCode::Char('n')) => self.page_on(),
            (Page::View(View::Instances | View::Triggers), KeyCode::Char('p')) => {
                let screen = self.screen_mut();
                if screen.cursors.pop().is_some() {
                    screen.forget();
                }
            }
            (Page::View(View::Entries), KeyCode::Char(' ')) => self.screen_mut().pause(now, height),
            (Page::View(View::Adapters), KeyCode::Char('r')) => self.restart(),
            (Page::View(View::Quarantine), KeyCode::Char('s')) => self.order(QuarantineOrder::Skip),
            (Page::View(View::Quarantine), KeyCode::Char('t')) => self.order(QuarantineOrder::Retry),
            (Page::View(View::Quarantine), KeyCode::Char('e')) => return self.edit(),
            (_, KeyCode::Char(' ')) => {
                self.screen_mut().fold(None, height);
            }
            _ => {}
        }
        None
    }

    fn turn(&mut self, by: usize) {
        self.go_to(View::ALL[(self.view.index() + by) % View::ALL.len()]);
    }

    /// Closes what is open, then the filter.
    fn back(&mut self) {
        let (now, height) = (self.now, self.height());
        if self.opened.pop().is_some() {
            let height = self.height();
            self.screen_mut().build(now, height);
            return;
        }
        let screen = self.screen_mut();
        if !screen.text.is_empty() {
            screen.text.clear();
            screen.forget();
        }
        screen.list.filter.clear();
        screen.arrange(false, height);
    }

    fn enter(&mut self) {
        let height = self.height();
        // An entry is looked at itself; its actor is one key further.
        let itself = matches!(self.screen().page, Page::View(View::Entries | View::Events));
        match self.screen().actor().filter(|_| !itself) {
            Some(actor) => self.open(Page::Detail(actor)),
            None => match self.screen().record() {
                Some(record) => self.open(record),
                None => {
                    self.screen_mut().fold(None, height);
                }
            },
        }
    }

    fn trace(&mut self) {
        let subject = self.screen().of().or_else(|| self.screen().actor());
        match subject {
            Some(subject) => self.open(Page::Trace(subject)),
            None => self.say(false, "this row is about no actor: select one".to_owned()),
        }
    }

    fn choose(&mut self, choices: usize) {
        let screen = self.screen_mut();
        screen.choice = (screen.choice + 1) % choices;
        screen.cursors.clear();
        screen.forget();
    }

    fn page_on(&mut self) {
        let screen = self.screen_mut();
        let next = screen.next();
        match next {
            Some(next) => {
                screen.cursors.push(next);
                screen.forget();
            }
            None => self.say(true, "this is the last page".to_owned()),
        }
    }

    fn restart(&mut self) {
        let row = self.screen().list.row();
        if let (Some(Content::Adapters(adapters)), Some(row)) = (&self.screen().content, row)
            && let Some(adapter) = adapters.get(row)
        {
            let (adapter, node) = (adapter.name.clone(), Some(adapter.node.clone()));
            self.overlay = Overlay::Confirm(Order::Restart { adapter, node });
        }
    }

    /// The actor of the selected row of those that were set aside.
    fn aside(&self) -> Option<&QuarantinedActor> {
        let row = self.screen().list.row()?;
        match &self.screen().content {
            Some(Content::Quarantine(actors)) => actors.get(row),
            _ => None,
        }
    }

    fn order(&mut self, order: QuarantineOrder) {
        if let Some(aside) = self.aside() {
            let entry = aside.entry.as_ref().map(|entry| entry.offset.clone());
            self.overlay = Overlay::Confirm(Order::Quarantine { actor: aside.actor.clone(), entry, order });
        }
    }

    fn edit(&mut self) -> Option<Effect> {
        let aside = self.aside()?;
        match &aside.entry {
            Some(entry) => {
                let (actor, entry, body) = (aside.actor.clone(), entry.offset.clone(), entry.body.clone());
                Some(Effect::Edit { actor, entry, body })
            }
            None => {
                self.say(false, "it cannot be loaded: there is no entry to edit".to_owned());
                None
            }
        }
    }

    pub(super) fn mouse(&mut self, mouse: MouseEvent) {
        let height = self.height();
        let pressed = mouse.kind == MouseEventKind::Down(MouseButton::Left);
        match &self.overlay {
            Overlay::Help if pressed => return self.overlay = Overlay::None,
            Overlay::None => {}
            // Something is being typed or decided.
            _ => return,
        }
        match mouse.kind {
            MouseEventKind::ScrollUp => self.screen_mut().go(Move::By(-WHEEL), height),
            MouseEventKind::ScrollDown => self.screen_mut().go(Move::By(WHEEL), height),
            _ if pressed => self.click(Position { x: mouse.column, y: mouse.row }),
            _ => {}
        }
    }

    fn click(&mut self, at: Position) {
        let areas = layout::areas(self.size);
        if areas.tabs.contains(at) {
            let tabs = layout::tabs(self.size.width, self.view);
            if let Some((view, ..)) = tabs.into_iter().find(|(_, _, range)| range.contains(&at.x)) {
                self.go_to(view);
            }
            return;
        }
        let rows = layout::rows(self.screen(), areas.body);
        if !rows.contains(at) {
            return;
        }
        let height = usize::from(rows.height);
        let screen = self.screen_mut();
        let row = screen.list.top + usize::from(at.y - rows.y);
        if row >= screen.list.shown.len() {
            return;
        }
        let again = screen.list.selected == row;
        screen.go(Move::To(row), height);
        let folds = matches!(&screen.body, Body::Outline { lines, .. } if lines.get(row).is_some_and(|line| line.open.is_some()));
        // What can be folded is folded by one click, other things are opened by a second.
        if folds {
            screen.fold(None, height);
        } else if again {
            self.enter();
        }
    }
}
