//! Which row is selected, which ones are on the screen, and which ones pass the filter.

/// A position in a list of rows, kept while the rows change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// Only rows with this text are shown.
    pub filter: String,
    /// The rows that are shown, by their number.
    pub shown: Vec<usize>,
    /// The selected one, counted among those that are shown.
    pub selected: usize,
    /// The first one on the screen, counted in the same way.
    pub top: usize,
    /// What the selected row is of, to find it again.
    pub(super) key: Option<String>,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// So many rows down, or up.
    By(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// To this row of those that are shown.
    To(usize),
}

impl List {
    /// The number of the selected row.
    pub fn row(&self) -> Option<usize> {
        self.shown.get(self.selected).copied()
    }

    /// Whether the selected row is the last one.
    pub fn at_end(&self) -> bool {
        self.selected + 1 >= self.shown.len()
    }

    /// Selects another row; `key` names a row.
    pub(super) fn go(&mut self, movement: Move, height: usize, key: impl Fn(usize) -> String) {
        let last = self.shown.len().saturating_sub(1);
        self.selected = match movement {
            Move::By(rows) => self.selected.saturating_add_signed(rows).min(last),
            Move::First => 0,
            Move::Last => last,
            Move::To(row) => row.min(last),
        };
        self.key = self.row().map(key);
        self.scroll(height);
    }

    /// Takes new rows: stays with the row that was selected, if it is still there; with `follow`, goes to the last one.
    pub(super) fn show(
        &mut self,
        shown: Vec<usize>,
        follow: bool,
        height: usize,
        key: impl Fn(usize) -> String,
    ) {
        self.shown = shown;
        let last = self.shown.len().saturating_sub(1);
        let before = self.selected;
        let still = self.key.as_ref().and_then(|old| {
            // It is mostly where it was.
            let here = self.row().is_some_and(|row| key(row) == *old).then_some(before);
            here.or_else(|| self.shown.iter().position(|row| key(*row) == *old))
        });
        self.selected = if follow { last } else { still.unwrap_or(before.min(last)) };
        // What is selected stays at its place on the screen, while rows come and go above it.
        self.top = self.top.saturating_add_signed(self.selected as isize - before as isize);
        self.key = self.row().map(key);
        self.scroll(height);
    }

    /// Has the selected row on the screen, and no empty room below the last one.
    pub(super) fn scroll(&mut self, height: usize) {
        let height = height.max(1);
        self.top = self.top.min(self.selected).max((self.selected + 1).saturating_sub(height));
        self.top = self.top.min(self.shown.len().saturating_sub(height));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> List {
        let mut list = List::default();
        list.show((0..names.len()).collect(), false, 3, |row| names[row].to_owned());
        list
    }

    #[test]
    fn the_selected_row_is_kept_while_others_come_and_go() {
        let mut list = list(&["b", "d", "f"]);
        list.go(Move::By(1), 3, |row| ["b", "d", "f"][row].to_owned());
        let names = ["a", "b", "c", "d", "e"];
        list.show((0..5).collect(), false, 3, |row| names[row].to_owned());
        assert_eq!((list.selected, list.top), (3, 2), "d is where it was on the screen");
        list.show(vec![0, 1], false, 3, |row| names[row].to_owned());
        assert_eq!((list.row(), list.top), (Some(1), 0), "it is gone: the nearest one");
        list.show(vec![], false, 3, |row| names[row].to_owned());
        assert_eq!((list.row(), list.selected), (None, 0));
    }

    #[test]
    fn it_scrolls_no_further_than_it_has_to() {
        let names = ["a", "b", "c", "d", "e"];
        let key = |row: usize| names[row].to_owned();
        let mut list = list(&names);
        for (movement, selected, top) in [
            (Move::By(2), 2, 0),
            (Move::By(1), 3, 1),
            (Move::Last, 4, 2),
            (Move::By(-1), 3, 2),
            (Move::By(-2), 1, 1),
            (Move::By(99), 4, 2),
            (Move::First, 0, 0),
            (Move::By(-1), 0, 0),
            (Move::To(9), 4, 2),
        ] {
            list.go(movement, 3, key);
            assert_eq!((list.selected, list.top), (selected, top), "{movement:?}");
        }
        list.show(vec![0, 1, 2, 3], true, 3, key);
        assert_eq!((list.selected, list.top), (3, 1), "it follows the end");
    }
}
