//! The terminal: taken, given back whatever happens, read, drawn on, and lent to an editor.

use std::fs;
use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Size;
use ratatui::{Terminal, backend::CrosstermBackend};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::draw::draw;
use super::page::{News, Order, Want};
use super::state::{Effect, Input, State};

/// The terminal is waited for so long; then it is looked whether the cluster has news.
const LOOK: Duration = Duration::from_millis(25);
/// So many keys are taken before the screen is drawn again.
const KEYS_MOST: usize = 64;
/// More than any entry that a node takes.
const EDITED_MOST: u64 = 64 << 20;

/// The ways to the tasks that ask the node.
pub(super) struct Ways {
    pub(super) wants: watch::Sender<Want>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) news: mpsc::Receiver<News>,
    /// What starts an editor.
    pub(super) editor: String,
}

/// A terminal that was taken. It is given back when this is dropped.
struct Taken;

impl Taken {
    fn take() -> io::Result<Taken> {
        enable_raw_mode()?;
        // From here on it has to be given back, even if the rest fails.
        let taken = Taken;
        execute!(stdout(), EnterAlternateScreen, EnableMouseCapture, Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nothing better can be done with a terminal that does not listen.
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
}

/// What a panic says is to be read, so the terminal is given back before.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Runs until somebody quits. The state's size and time become those of the terminal and the clock.
pub(super) fn run(mut state: State, mut ways: Ways) -> io::Result<()> {
    give_back_on_panic();
    let mut taken = Taken::take()?;
    let mut terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
    state.step(Input::Size(terminal.size()?));
    let mut stale = true;
    let mut second = 0;
    loop {
        if stale {
            let began = Instant::now();
            terminal.draw(|frame| draw(&state, frame.buffer_mut()))?;
            state.note_drawn(began.elapsed());
        }
        stale = false;
        let mut effects = Vec::new();
        let mut waited = LOOK;
        for _ in 0..KEYS_MOST {
            if !event::poll(waited)? {
                break;
            }
            waited = Duration::ZERO;
            stale = true;
            effects.extend(read(&mut state)?);
        }
        // No more than the channel holds.
        for _ in 0..ways.news.max_capacity() {
            let Ok(news) = ways.news.try_recv() else { break };
            stale = true;
            effects.extend(state.step(Input::News(news)));
        }
        let now = SystemTime::now();
        let at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if at != second {
            second = at;
            stale = true;
            state.step(Input::Time(now));
        }
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Order(order) => {
                    if ways.orders.try_send(order).is_err() {
                        state.say(false, "other orders are still under way: try again".to_owned());
                    }
                }
                Effect::Edit { actor, entry, body } => {
                    drop(taken);
                    let body = edit(&ways.editor, &body);
                    taken = Taken::take()?;
                    terminal.clear()?;
                    state.step(Input::Size(terminal.size()?));
                    state.step(Input::Edited { actor, entry, body });
                }
            }
        }
        let want = state.want();
        ways.wants.send_if_modified(|wanted| {
            let other = *wanted != want;
            if other {
                *wanted = want;
            }
            other
        });
    }
}

fn read(state: &mut State) -> io::Result<Option<Effect>> {
    Ok(match event::read()? {
        Event::Key(key) => state.step(Input::Key(key)),
        Event::Mouse(mouse) => state.step(Input::Mouse(mouse)),
        Event::Resize(width, height) => state.step(Input::Size(Size { width, height })),
        Event::FocusGained | Event::FocusLost | Event::Paste(_) => None,
    })
}

/// A file for its owner alone, which is gone when this is dropped.
struct Draft(PathBuf);

impl Draft {
    fn new(text: &str) -> io::Result<Draft> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = std::env::temp_dir().join(format!("impresario-{}.json", uuid::Uuid::new_v4()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let draft = Draft(path);
        file.write_all(text.as_bytes())?;
        Ok(draft)
    }

    fn read(&self) -> io::Result<String> {
        use std::io::Read;
        let mut text = String::new();
        fs::File::open(&self.0)?.take(EDITED_MOST).read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Somebody else may have taken it away.
        let _ = fs::remove_file(&self.0);
    }
}

/// Has somebody edit a value as JSON: what it is then, or nothing if it is as it was. What is no JSON can be edited again.
fn edit(editor: &str, value: &Value) -> Result<Option<Value>, String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    let failed = |error: io::Error| format!("cannot edit the entry: {error}");
    let draft = Draft::new(&text).map_err(failed)?;
    loop {
        // As others do it: the variable may have arguments, and the file is the last one.
        let status = Command::new("/bin/sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(&draft.0)
            .status()
            .map_err(failed)?;
        if !status.success() {
            return Err(format!("the editor '{editor}' ended with {status}: nothing is sent"));
        }
        let edited = draft.read().map_err(failed)?;
        match serde_json::from_str::<Value>(&edited) {
            Ok(edited) => return Ok((edited != *value).then_some(edited)),
            Err(error) => {
                println!("expected JSON, found: {error}");
                print!("Enter to edit it again, q and Enter to give up: ");
                let _ = stdout().flush();
                let mut line = String::new();
                let read = io::stdin().read_line(&mut line).map_err(failed)?;
                if read == 0 || line.trim() == "q" {
                    return Err("what was edited is no JSON: nothing is sent".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_editor_gets_the_entry_and_what_it_makes_of_it_comes_back() {
        let value = json!({"kind": "start", "count": 1});
        assert_eq!(edit("true", &value), Ok(None));
        assert_eq!(edit("sed -i s/1/2/", &value), Ok(Some(json!({"kind": "start", "count": 2}))));
        assert!(edit("false", &value).unwrap_err().contains("nothing is sent"));
    }
}
