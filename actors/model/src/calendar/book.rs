//! All calendars of an environment, and what may be put there: no circles, nothing that covers no day, nothing taken away
//! that others name.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Ahead, Calendar, CalendarSpec, DEPTH_MAX};

/// The most calendars of an environment.
const CALENDARS_MAX: usize = 1_000;
/// The largest calendar with all that it names, in bytes of JSON: every trigger that uses it has a copy.
const BYTES_MAX: usize = 64 << 10;

/// Why a calendar does not change.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CalendarError {
    /// It makes no sense: correct it.
    #[error("{0}")]
    Invalid(String),
    /// There is no such calendar.
    #[error("{0}")]
    NotFound(String),
    /// Others stand in its way.
    #[error("{0}")]
    Conflict(String),
}

/// The calendars of an environment, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendars(BTreeMap<String, CalendarSpec>);

impl Calendars {
    /// Adds or replaces one that was checked.
    pub fn put(&mut self, name: &str, spec: CalendarSpec) {
        self.0.insert(name.to_owned(), spec);
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &CalendarSpec)> {
        self.0.iter().map(|(name, spec)| (name.as_str(), spec))
    }

    /// The calendars that name one.
    pub fn users(&self, name: &str) -> Vec<&str> {
        let names = |spec: &CalendarSpec| spec.names().any(|named| named == name);
        self.0.iter().filter(|(_, spec)| names(spec)).map(|(user, _)| user.as_str()).collect()
    }

    /// A calendar with all that it names.
    ///
    /// # Errors
    /// Which one is missing, in a circle or too deep.
    pub fn resolve(&self, name: &str) -> Result<Calendar, CalendarError> {
        let mut heights = BTreeMap::new();
        self.height(name, &mut Vec::new(), &mut heights)?;
        let part = |name: &&str| {
            let spec = CalendarSpec { description: None, ..self.0.get(*name)?.clone() };
            Some(((*name).to_owned(), spec))
        };
        Ok(Calendar { name: name.to_owned(), parts: heights.keys().filter_map(part).collect() })
    }

    /// How many calendars are above each other in one, itself counted. `known` are those that were looked at.
    fn height<'a>(
        &'a self,
        name: &'a str,
        way: &mut Vec<&'a str>,
        known: &mut BTreeMap<&'a str, usize>,
    ) -> Result<usize, CalendarError> {
        let invalid = |reason: String| Err(CalendarError::Invalid(reason));
        if way.contains(&name) {
            return invalid(format!(
                "expected calendars that are not in themselves, found {} → {name}",
                way.join(" → ")
            ));
        }
        let Some(spec) = self.0.get(name) else {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let nearest = crate::language::nearest(name, &names);
            let hint = nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default();
            return Err(CalendarError::NotFound(format!(
                "expected the name of a calendar, found '{name}', which names none{hint}"
            )));
        };
        let mut height = known.get(name).copied().unwrap_or(0);
        if height == 0 && way.len() < DEPTH_MAX {
            way.push(name);
            for named in spec.names() {
                height = height.max(self.height(named, way, known)?);
            }
            way.pop();
            height += 1;
            known.insert(name, height);
        }
        if height == 0 || way.len() + height > DEPTH_MAX {
            return invalid(format!(
                "expected calendars in calendars at most {DEPTH_MAX} deep, found more: {} → {name}",
                way.join(" → ")
            ));
        }
        Ok(height)
    }

    /// Whether a calendar may be put, so that it covers some day in time.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub fn check(
        &self,
        name: &str,
        spec: &CalendarSpec,
        Ahead { from, years }: Ahead,
    ) -> Result<(), CalendarError> {
        let count = self.0.len();
        if count >= CALENDARS_MAX && !self.0.contains_key(name) {
            return Err(CalendarError::Conflict(format!(
                "calendar '{name}': there are {count} already, the limit is {CALENDARS_MAX}"
            )));
        }
        let mut next = self.clone();
        next.put(name, spec.clone());
        let told = |error: CalendarError| match error {
            // What the calendar names is a part of it, so a missing one makes it invalid.
            CalendarError::Invalid(reason) | CalendarError::NotFound(reason) => {
                CalendarError::Invalid(format!("calendar '{name}': {reason}"))
            }
            conflict @ CalendarError::Conflict(_) => conflict,
        };
        // Those that name it change with it: each must stay resolvable, small enough, and cover some day.
        for affected in next.with_users_of(name) {
            let calendar = next.resolve(affected).map_err(told)?;
            let of = if affected == name { String::new() } else { format!(", which '{affected}' needs") };
            let bytes = serde_json::to_vec(&calendar).map_or(usize::MAX, |bytes| bytes.len());
            if bytes > BYTES_MAX {
                return Err(CalendarError::Invalid(format!(
                    "calendar '{name}'{of}: expected at most {BYTES_MAX} bytes with all calendars that it names, \
                     found {bytes}"
                )));
            }
            if calendar.next_day(from, years).is_none() {
                let covered_before =
                    self.resolve(affected).is_ok_and(|it| it.next_day(from, years).is_some());
                if affected == name || covered_before {
                    return Err(CalendarError::Invalid(format!(
                        "calendar '{affected}': expected a day that it covers within {years} years from {from}, \
                         found none: nothing that uses it would ever fire"
                    )));
                }
            }
        }
        Ok(())
    }

    /// A calendar, and all that name it, however deep.
    pub fn with_users_of<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let mut found = vec![name];
        let mut at = 0;
        while let Some(used) = found.get(at).copied() {
            for user in self.users(used) {
                if !found.contains(&user) {
                    found.push(user);
                }
            }
            at += 1;
        }
        found
    }

    /// Whether a calendar may be removed, as far as other calendars are concerned.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub fn check_removal(&self, name: &str) -> Result<(), CalendarError> {
        if !self.0.contains_key(name) {
            return Err(CalendarError::NotFound(format!(
                "expected the name of a calendar, found '{name}', which names none"
            )));
        }
        match self.users(name).first() {
            Some(user) => Err(CalendarError::Conflict(format!(
                "calendar '{user}' names '{name}': take it out there first"
            ))),
            None => Ok(()),
        }
    }

    /// The next days that a calendar covers, at most `count`.
    ///
    /// # Errors
    /// As [`Calendars::resolve`].
    pub fn next_days(&self, name: &str, ahead: Ahead, count: usize) -> Result<Vec<Date>, CalendarError> {
        let calendar = self.resolve(name)?;
        let mut days = Vec::new();
        let mut from = Some(ahead.from);
        while let Some(day) = from.and_then(|from| calendar.next_day(from, ahead.years)) {
            days.push(day);
            from = day.tomorrow().ok().filter(|_| days.len() < count);
        }
        Ok(days)
    }
}
