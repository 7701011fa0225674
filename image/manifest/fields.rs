//! Reads fields of TOML tables, collecting complaints instead of stopping.
//!
//! Each field that is asked for is remembered, so that the list of known fields in
//! a complaint about an unknown one cannot differ from what is really read.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::suggest;
use super::source::{Complaint, Located, Source, Span};

/// Collects what is found wrong with one manifest.
pub struct Complaints {
    source: Source,
    found: RefCell<Vec<Complaint>>,
}

impl Complaints {
    /// Nothing found yet.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            found: RefCell::new(Vec::new()),
        }
    }

    /// Adds one, with its remedy.
    pub fn add(&self, span: &Span, message: impl Into<String>, remedy: impl Into<String>) {
        let complaint = self.source.complain(span, message).remedy(remedy);
        self.found.borrow_mut().push(complaint);
    }

    /// All that were added, in the order of the text.
    pub fn into_vec(self) -> Vec<Complaint> {
        self.found.into_inner()
    }
}

/// One table of the manifest while its fields are read.
pub struct Fields<'a> {
    complaints: &'a Complaints,
    table: &'a DeTable<'a>,
    span: Span,
    /// How messages name the table: `[machine]`.
    title: String,
    asked: RefCell<Vec<&'static str>>,
}

/// A value of a table or an array, with its place and its name for messages.
pub struct Value<'a> {
    complaints: &'a Complaints,
    value: &'a Spanned<DeValue<'a>>,
    /// How messages name it: `machine.memory`.
    pub name: String,
}

impl<'a> Fields<'a> {
    /// Begins to read `table`, which messages call `title`.
    pub fn new(
        complaints: &'a Complaints,
        table: &'a DeTable<'a>,
        span: Span,
        title: impl Into<String>,
    ) -> Self {
        Self {
            complaints,
            table,
            span,
            title: title.into(),
            asked: RefCell::new(Vec::new()),
        }
    }

    /// Complains about what was found in it at `span`.
    pub fn complain_at(&self, span: &Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.complaints.add(span, message, remedy);
    }

    /// Complains about the table as a whole.
    pub fn complain(&self, message: impl Into<String>, remedy: impl Into<String>) {
        self.complaints.add(&self.span, message, remedy);
    }

    /// The field `name`, if it is there.
    pub fn get(&self, name: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(name);
        self.table.get(name).map(|value| Value {
            complaints: self.complaints,
            value,
            name: name.to_owned(),
        })
    }

    /// The field `name`; if it is missing, that is a complaint with this example.
    pub fn require(&self, name: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(name);
        if value.is_none() {
            let message = format!("{} has no field `{name}`", self.title);
            self.complaints
                .add(&self.span, message, format!("add a line like: {example}"));
        }
        value
    }

    /// The table `name`, if it is there and is a table.
    pub fn table(&self, name: &'static str) -> Option<Fields<'a>> {
        self.get(name)?.fields(format!("[{name}]"))
    }

    /// Every name in the table with its place, in the order of the text.
    pub fn entries(&self) -> Vec<(Located<String>, Value<'a>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                let located = Located {
                    value: name.clone(),
                    span: key.span(),
                };
                let value = Value {
                    complaints: self.complaints,
                    value,
                    name,
                };
                (located, value)
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// Complains about every field that was not asked for.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !asked.contains(&name) {
                self.complaints.add(
                    &key.span(),
                    format!("unknown field `{name}` in {}", self.title),
                    suggest(name, "known fields", &asked),
                );
            }
        }
    }
}

impl<'a> Value<'a> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.value.span()
    }

    /// Complains about this value.
    pub fn complain(&self, message: impl Into<String>, remedy: impl Into<String>) {
        self.complaints.add(&self.span(), message, remedy);
    }

    fn wrong_type(&self, wanted: &str) {
        let found = match self.value.get_ref() {
            DeValue::Table(_) => "a table",
            DeValue::Array(_) => "an array",
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
        };
        self.complain(
            format!("`{}` must be {wanted}, not {found}", self.name),
            format!("write {wanted} here"),
        );
    }

    /// The value as a string.
    pub fn string(&self) -> Option<Located<String>> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type("a string in quotes");
        }
        let value = text?.to_owned();
        if value.contains('\0') {
            self.complain(
                format!("`{}` holds a NUL character", self.name),
                "remove the \\u0000",
            );
            return None;
        }
        Some(Located {
            value,
            span: self.span(),
        })
    }

    /// The value as true or false.
    pub fn boolean(&self) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    /// The value as a whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        let value = u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|value| range.contains(value));
        if value.is_none() {
            self.complain(
                format!("`{}` is out of range: {}", self.name, integer.as_str()),
                format!("a number from {} to {}", range.start(), range.end()),
            );
        }
        value
    }

    /// The value as a whole number or a string, in the text's own words.
    pub fn words(&self) -> Option<String> {
        match self.value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str().to_owned()),
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type("a size such as \"64M\"");
                None
            }
        }
    }

    /// The value as one of `names`.
    pub fn one_of(&self, what: &str, names: &[&'static str]) -> Option<&'static str> {
        let text = self.string()?;
        let found = names.iter().find(|name| **name == text.value);
        if found.is_none() {
            self.complain(
                format!("unknown {what} `{}`", text.value),
                suggest(&text.value, "known", names),
            );
        }
        found.copied()
    }

    /// The value as an array.
    pub fn array(&self) -> Option<Vec<Value<'a>>> {
        let Some(items) = self.value.get_ref().as_array() else {
            self.wrong_type("an array in [ ]");
            return None;
        };
        let values = items.iter().enumerate().map(|(index, value)| Value {
            complaints: self.complaints,
            value,
            name: format!("{}[{index}]", self.name),
        });
        Some(values.collect())
    }

    /// The value as an array of strings; those that are no strings are left out.
    pub fn strings(&self) -> Option<Vec<Located<String>>> {
        let items = self.array()?;
        Some(items.iter().filter_map(Value::string).collect())
    }

    /// Whether the value is a table.
    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The value as a table that messages call `title`.
    pub fn fields(&self, title: impl Into<String>) -> Option<Fields<'a>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Some(Fields::new(self.complaints, table, self.span(), title))
    }

    /// The value as an absolute path in the image, made plain (no `.`, no `//`).
    pub fn guest_path(&self) -> Option<Located<String>> {
        let text = self.string()?;
        match plain_guest_path(&text.value) {
            Ok(value) => Some(Located {
                value,
                span: text.span,
            }),
            Err(remedy) => {
                self.complain(
                    format!("`{}` is no path in the image: `{}`", self.name, text.value),
                    remedy,
                );
                None
            }
        }
    }
}

/// Makes an absolute path plain: no `.`, no empty parts, no `/` at the end.
///
/// # Errors
/// A remedy, if the path is not absolute or climbs with `..`.
pub fn plain_guest_path(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("write an absolute path, such as `/{path}`"));
    }
    let mut plain = String::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("write the path without `..`".to_owned()),
            part if part.len() > 255 => return Err("a name has at most 255 bytes".to_owned()),
            part => {
                plain.push('/');
                plain.push_str(part);
            }
        }
    }
    if plain.is_empty() {
        plain.push('/');
    }
    if plain.len() >= 4096 {
        return Err("a path has at most 4095 bytes".to_owned());
    }
    Ok(plain)
}
