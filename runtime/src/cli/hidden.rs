//! Words that are typed without being shown.

use std::io::{BufRead, IsTerminal, stderr, stdin};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::error::CliError;

/// The longest passphrase.
const PASSPHRASE_LIMIT: u64 = 4096;

/// Gives the terminal back as it was, whatever happens.
struct Shown(Termios);

impl Drop for Shown {
    fn drop(&mut self) {
        // Nothing better can be done with a terminal that does not listen.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        anstream::eprintln!();
    }
}

/// Asks at the terminal for one line.
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<String>, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot ask at the terminal: {error}"));
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(CliError::Usage("expected a terminal to ask at, found none".to_owned()));
    }
    anstream::eprint!("{prompt}");
    let before = tcgetattr(stdin()).map_err(|error| failed(error.into()))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    let _shown = Shown(before);
    tcsetattr(stdin(), OptionalActions::Flush, &quiet).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The passphrase of a file, its end of line not counted, or of the terminal; asked for twice where it is new.
pub(super) fn passphrase(file: Option<&Path>, new: bool) -> Result<Zeroizing<String>, CliError> {
    let Some(path) = file else {
        let first = ask("passphrase: ")?;
        if new && *ask("once more: ")? != *first {
            return Err(CliError::Usage("expected the same passphrase twice, found two".to_owned()));
        }
        return Ok(first);
    };
    use std::io::Read;
    let failed =
        |error| CliError::Failed(format!("cannot read the passphrase of {}: {error}", path.display()));
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(PASSPHRASE_LIMIT).read_to_string(&mut text).map_err(failed)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
