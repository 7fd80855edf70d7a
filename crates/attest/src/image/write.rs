//! From document to text, in one way only: a fact has its line, and lines have their order.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValue;

use super::document::{
    AllowedCommandLine, BootItem, BootSection, CommandText, Digests, Enrolment, GoldenImage, RequiredDbx,
    SecureBootRule,
};
use super::{FORMAT, read};
use crate::ima::RuntimeSection;

impl GoldenImage {
    /// Writes the image. [`GoldenImage::parse`] of it gives the same image, and that one the same text.
    pub fn to_text(&self) -> String {
        let mut text = Text::default();
        text.fact("format", &quoted(FORMAT));
        text.fact("image", &quoted(&self.id.to_string()));
        text.fact("created_at", &quoted(&self.created_at.to_string()));
        text.list_unless_empty("supersedes", self.supersedes.iter().map(shown));
        self.overlap.iter().for_each(|overlap| text.fact("overlap", &shown(overlap)));
        self.max_age.iter().for_each(|max_age| text.fact("max_age", &shown(max_age)));
        if !self.ignored_pcrs.is_empty() {
            let pcrs: Vec<_> = self.ignored_pcrs.iter().map(|pcr| pcr.to_string()).collect();
            text.fact("ignored_pcrs", &format!("[{}]", pcrs.join(", ")));
        }
        for (bank, values) in &self.pcrs {
            text.table(&format!("pcrs.{bank}"));
            for (pcr, values) in values {
                text.one_or_list(&pcr.to_string(), values.iter().map(shown));
            }
        }
        self.boot.iter().for_each(|boot| text.boot(boot));
        self.runtime.iter().for_each(|runtime| text.runtime(runtime));
        text.0
    }
}

/// A text that grows by facts.
#[derive(Default)]
struct Text(String);

impl Text {
    fn fact(&mut self, name: &str, value: &str) {
        // A `String` takes whatever is written to it.
        writeln!(self.0, "{name} = {value}").unwrap_or_default();
    }

    fn table(&mut self, name: &str) {
        writeln!(self.0, "\n[{name}]").unwrap_or_default();
    }

    /// A list: on one line when it holds one item at most.
    fn list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        match &items[..] {
            [] => self.fact(name, "[]"),
            [one] => self.fact(name, &format!("[{one}]")),
            several => {
                self.fact(name, "[");
                several.iter().for_each(|item| writeln!(self.0, "  {item},").unwrap_or_default());
                self.0.push_str("]\n");
            }
        }
    }

    fn list_unless_empty(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            self.list(name, items);
        }
    }

    /// One value for itself, several as a list.
    fn one_or_list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        match &items[..] {
            [one] => self.fact(name, one),
            _ => self.list(name, items.into_iter()),
        }
    }

    fn boot(&mut self, boot: &BootSection) {
        self.table("boot");
        if boot.secure_boot == SecureBootRule::On {
            self.fact("secure_boot", &quoted("on"));
        }
        if boot.ordered {
            self.fact("ordered", "true");
        }
        self.list_unless_empty("accept", boot.accept.iter().map(shown));
        for (name, items) in boot.lists() {
            if items.is_some_and(<[_]>::is_empty) {
                self.fact(name, "[]");
            }
        }
        if let Some(lines) = &boot.command_lines {
            self.list("command_line", lines.iter().map(command_line));
        }
        for (name, items) in boot.lists() {
            for item in items.unwrap_or_default() {
                writeln!(self.0, "\n[[boot.{name}]]").unwrap_or_default();
                self.item(item);
            }
        }
        for (name, enrolment) in boot.keys.lists() {
            enrolment.iter().for_each(|enrolment| self.enrolment(name, enrolment));
        }
        boot.dbx.iter().for_each(|dbx| self.dbx(dbx));
        if let Some(level) = &boot.sbat_level {
            self.table("boot.sbat_level");
            level.entries().for_each(|(name, number)| self.fact(&key(name), &number.to_string()));
        }
    }

    fn item(&mut self, item: &BootItem) {
        let BootItem { name, digests, signers, required } = item;
        self.fact("name", &quoted(name));
        if *required {
            self.fact("required", "true");
        }
        self.digests(digests);
        if !signers.is_empty() {
            self.one_or_list("signer", signers.iter().map(shown));
        }
    }

    fn digests(&mut self, digests: &Digests) {
        for (algorithm, digests) in digests.iter().filter(|(_, digests)| !digests.is_empty()) {
            self.one_or_list(algorithm.name(), digests.iter().map(|digest| quoted(&to_hex(digest.as_bytes()))));
        }
    }

    fn enrolment(&mut self, name: &str, enrolment: &Enrolment) {
        self.table(&format!("boot.keys.{name}"));
        enrolment.iter().for_each(|(key, subject)| self.fact(&key.to_string(), &quoted(subject)));
    }

    fn dbx(&mut self, dbx: &RequiredDbx) {
        self.table("boot.dbx");
        self.list_unless_empty("sha256", dbx.images.iter().map(shown));
        self.list_unless_empty("x509_sha256", dbx.to_be_signed.iter().map(shown));
        if !dbx.certificates.is_empty() {
            self.table("boot.dbx.certificates");
            dbx.certificates.iter().for_each(|(key, subject)| self.fact(&key.to_string(), &quoted(subject)));
        }
    }

    fn runtime(&mut self, runtime: &RuntimeSection) {
        let RuntimeSection { keys, keyring_keys, exclude, rules, digests } = runtime;
        self.table("runtime");
        for (name, texts) in [("keys", keys), ("keyring_keys", keyring_keys), ("exclude", exclude), ("rules", rules)] {
            self.list_unless_empty(name, texts.iter().map(|text| quoted(text)));
        }
        if !digests.is_empty() {
            self.table("runtime.digests");
            for (path, digests) in digests {
                self.list(&quoted(path), digests.iter().map(|digest| quoted(digest)));
            }
        }
    }
}

fn command_line(line: &AllowedCommandLine) -> String {
    let named = |loader| format!("loader = \"{}\", ", read::loader_name(loader));
    let loader = line.loader.map_or_else(String::new, named);
    match &line.text {
        CommandText::Exact(text) => format!("{{ {loader}text = {} }}", quoted(text)),
        CommandText::Pattern(pattern) => format!("{{ {loader}pattern = {} }}", quoted(pattern.as_str())),
        CommandText::Measured(digests) => {
            let of_algorithm = |(algorithm, digests): (&HashAlgorithm, &BTreeSet<PcrValue>)| {
                let digests: Vec<String> = digests.iter().map(shown).collect();
                format!("{algorithm} = [{}]", digests.join(", "))
            };
            let digests: Vec<String> = digests.iter().map(of_algorithm).collect();
            format!("{{ {loader}{} }}", digests.join(", "))
        }
    }
}

fn shown(value: &impl Display) -> String {
    quoted(&value.to_string())
}

/// A key: bare where it may be.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string (TOML 1.0, String): what is no plain text is escaped, and so is what would turn the direction of
/// writing in front of a reviewer.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other if is_hidden(other) => write!(quoted, "\\U{:08X}", u32::from(other)).unwrap_or_default(),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that a reviewer would not see, or would be led astray by.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
