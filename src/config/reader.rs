//! Walks the parsed file and collects every mistake instead of stopping at the first.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Error, Mistake, Place, schema, suggest};

/// The file under the eye, the outside world, and what was found wrong so far.
pub(super) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    /// Looks up an environment variable.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file that a key names.
    pub(super) read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: &'a Path,
        text: &'a str,
        env: &'a dyn Fn(&str) -> Option<String>,
        read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Self {
        Self { file, text, env, read_file, mistakes: RefCell::default() }
    }

    /// The line, counted from 1, of a byte of the text.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        1 + self.text.get(..offset).map_or(0, |before| before.matches('\n').count())
    }

    pub(super) fn report(&self, place: &Place, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { place: place.clone(), message: message.into() });
    }

    /// Where a path in the file leads: a relative one starts beside the file.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The configuration, if nothing was wrong with it.
    pub(super) fn finish<T>(self, read: T) -> Result<T, Error> {
        let mistakes = self.mistakes.into_inner();
        if mistakes.is_empty() { Ok(read) } else { Err(Error::new(self.file, mistakes)) }
    }
}

/// One table of the file; one that is absent or no table at all reads as empty.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    path: String,
    line: usize,
    entries: Option<&'a DeTable<'a>>,
    /// It is no table, which has been reported; what it lacks is not worth a word.
    broken: bool,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(reader: &'a Reader<'a>, entries: &'a DeTable<'a>) -> Self {
        let section = Self { reader, path: String::new(), line: 1, entries: Some(entries), broken: false };
        section.check_keys("");
        section
    }

    /// The table under `name`, its keys checked.
    pub(super) fn table(&self, name: &str) -> Self {
        match self.get(name) {
            Some(value) => value.section(name),
            None => Self {
                reader: self.reader,
                path: self.path_of(name),
                line: self.line,
                entries: None,
                broken: false,
            },
        }
    }

    /// The value under `key`, if there is one.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.entries?.get(key)?;
        let place = Place::Line { line: self.reader.line_at(value.span().start), key: self.path_of(key) };
        Some(Value { reader: self.reader, place, content: value.get_ref() })
    }

    /// Every key and value of a table whose keys are the operator's own.
    pub(super) fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let entries = self.entries.into_iter().flatten();
        let mut found: Vec<_> = entries
            .map(|(key, value)| {
                let name: &'a str = key.get_ref().as_ref();
                let place =
                    Place::Line { line: self.reader.line_at(key.span().start), key: self.path_of(name) };
                (name, Value { reader: self.reader, place, content: value.get_ref() })
            })
            .collect();
        found.sort_by(|(_, a), (_, b)| a.place.cmp(&b.place));
        found
    }

    /// Says that a key is wanted that is not there; the place is the head of the table.
    pub(super) fn missing(&self, key: &str, message: impl Into<String>) {
        if !self.broken {
            self.reader.report(&Place::Line { line: self.line, key: self.path_of(key) }, message);
        }
    }

    /// The full path of one of its keys, as messages show it.
    pub(super) fn path_of(&self, key: &str) -> String {
        let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let key = if bare { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn check_keys(&self, table: &str) {
        let known = schema::keys_of(table);
        for (key, value) in self.entries() {
            if known.contains(&key) {
                continue;
            }
            let meant =
                suggest::nearest(key, known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            value.mistake(format!("unknown key; {meant}allowed here: {}", known.join(", ")));
        }
    }
}

/// One value of the file and where it stands.
pub(super) struct Value<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) place: Place,
    content: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn mistake(&self, message: impl Into<String>) {
        self.reader.report(&self.place, message);
    }

    /// Reads it as a table whose keys are those of `schema`.
    pub(super) fn section(&self, schema: &str) -> Section<'a> {
        let section = self.free_section();
        section.check_keys(schema);
        section
    }

    /// Reads it as a table whose keys are the operator's own.
    pub(super) fn free_section(&self) -> Section<'a> {
        let entries = match self.content {
            DeValue::Table(entries) => Some(entries),
            _ => self.wrong_type("a table"),
        };
        let (line, path) = match &self.place {
            Place::Line { line, key } => (*line, key.clone()),
            Place::Nowhere | Place::Variable { .. } => (1, String::new()),
        };
        Section { reader: self.reader, path, line, entries, broken: entries.is_none() }
    }

    /// Reads it as text that is not blank; `expected` tells what it should be.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        match self.content {
            DeValue::String(text) if text.trim().is_empty() => {
                self.mistake(format!("must not be empty; write {expected}"));
                None
            }
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong_type(expected),
        }
    }

    /// What the file at this path, which the value gives, holds; none if that was reported.
    pub(super) fn file(&self, path: &str) -> Option<Vec<u8>> {
        let content = (self.reader.read_file)(&self.reader.beside(path));
        content.map_err(|error| self.unreadable(path, &error)).ok()
    }

    /// Says that the file at this path cannot be read. What is no path for sure is not shown: it may be a secret that was
    /// pasted into the wrong key. It stands in the line that is named anyway.
    pub(super) fn unreadable(&self, path: &str, error: &io::Error) {
        let folder = self.reader.beside("");
        let folder = std::path::absolute(folder.join(".")).unwrap_or(folder);
        let tried = folder.join(path);
        let top = if Path::new(path).is_absolute() { Path::new("/") } else { folder.as_path() };
        let first = tried.strip_prefix(top).ok().and_then(|below| below.iter().next());
        let leads_somewhere = first.is_some_and(|first| top.join(first).is_dir());
        let place = if leads_somewhere {
            format!("; tried {}", tried.display())
        } else if Path::new(path).is_relative() {
            format!("; a relative path starts in {}", folder.display())
        } else {
            String::new()
        };
        self.mistake(format!("the file cannot be read: {error}{place}"));
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.content {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong_type("true or false"),
        }
    }

    /// Reads it as a whole number that is at least `least`.
    pub(super) fn number(&self, least: u32) -> Option<u32> {
        let DeValue::Integer(integer) = self.content else {
            return self.wrong_type(&format!("a whole number, {least} or more"));
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            self.mistake(format!("must be a whole number from {least} to {}", u32::MAX));
        }
        number
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.content, DeValue::Array(_))
    }

    /// Reads it as a list that is not empty; `expected` tells what each item should be.
    pub(super) fn list(&self, expected: &str) -> Vec<Value<'a>> {
        let DeValue::Array(items) = self.content else {
            return self.wrong_type(&format!("a list, each item {expected}")).unwrap_or_default();
        };
        if items.is_empty() {
            self.mistake(format!("must not be empty; list at least one item, {expected}"));
        }
        let Place::Line { key, .. } = &self.place else { return Vec::new() };
        let item = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let line = self.reader.line_at(item.span().start);
            let place = Place::Line { line, key: format!("{key}[{index}]") };
            Value { reader: self.reader, place, content: item.get_ref() }
        };
        items.iter().enumerate().map(item).collect()
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.content {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.mistake(format!("must be {expected}, not {found}"));
        None
    }
}
