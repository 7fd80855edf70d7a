//! deb822(5): the paragraphs of fields in which Debian writes control files, indexes and `Release`.

/// Why a text is no paragraphs of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line is neither a field, nor the continuation of one, nor empty.
    #[error("line {0} is no field")]
    NoField(usize),
    /// A paragraph has a field twice; which of them counts depends on who reads.
    #[error("line {line} has the field {field} for the second time")]
    Duplicate {
        /// The line, counted from 1.
        line: usize,
        /// The field.
        field: String,
    },
}

/// One paragraph: fields by name, which have no case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Stanza<'a> {
    /// The first line of a field, without spaces around it.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.lines(name)?.first().copied()
    }

    /// All lines of a field, each without spaces around it. The first is often empty.
    pub fn lines(&self, name: &str) -> Option<&[&'a str]> {
        let field = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, lines)| lines.as_slice())
    }

    fn add(&mut self, number: usize, line: &'a str) -> Result<(), ControlError> {
        if line.starts_with([' ', '\t']) {
            let (_, lines) = self.fields.last_mut().ok_or(ControlError::NoField(number))?;
            lines.push(line.trim());
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or(ControlError::NoField(number))?;
        // deb822(5): printable ASCII but space and colon, and no '#' or '-' in front.
        if name.is_empty() || name.starts_with(['#', '-']) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ControlError::NoField(number));
        }
        if self.lines(name).is_some() {
            return Err(ControlError::Duplicate { line: number, field: name.chars().take(80).collect() });
        }
        self.fields.push((name, vec![value.trim()]));
        Ok(())
    }
}

/// The paragraphs of a text, in their order.
pub fn stanzas(text: &str) -> impl Iterator<Item = Result<Stanza<'_>, ControlError>> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let mut stanza = Stanza::default();
        for (index, line) in lines.by_ref() {
            if !line.trim().is_empty() {
                if let Err(error) = stanza.add(index.saturating_add(1), line) {
                    return Some(Err(error));
                }
            } else if !stanza.fields.is_empty() {
                return Some(Ok(stanza));
            }
        }
        (!stanza.fields.is_empty()).then_some(Ok(stanza))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_have_fields_of_one_or_more_lines() {
        let text = "Package: a\nDescription: short\n long\n .\n more\n\n \nPackage: b\nSHA256:\n 00 1 x\n";
        let read: Vec<_> = stanzas(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("package"), Some("a"));
        assert_eq!(read[0].lines("Description"), Some(["short", "long", ".", "more"].as_slice()));
        assert_eq!(read[1].lines("sha256"), Some(["", "00 1 x"].as_slice()));
        assert_eq!(read[1].get("Size"), None);
        assert_eq!(stanzas("").count(), 0);
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        let error = |text| stanzas(text).find_map(Result::err);
        assert_eq!(error(" x\n"), Some(ControlError::NoField(1)));
        assert_eq!(error("A: 1\nB\n"), Some(ControlError::NoField(2)));
        assert_eq!(error("A: 1\n#B: 1\n"), Some(ControlError::NoField(2)));
        assert_eq!(error("A: 1\na: 2\n"), Some(ControlError::Duplicate { line: 2, field: "a".to_owned() }));
    }
}
