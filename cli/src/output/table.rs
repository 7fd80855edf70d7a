//! Tables without rules: columns that people read and `awk` splits.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::{clean, line};

/// Columns with a heading each.
pub(crate) struct Columns {
    table: Table,
}

impl Columns {
    /// A table with these headings.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
        Self { table }
    }

    /// The same table with this column set to the right, as numbers are.
    #[must_use]
    pub(crate) fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table.add_row(cells.map(|cell| clean(&cell)));
    }

    /// Its text, each line ended and none with blanks at its end; every line begins with `indent`.
    pub(crate) fn text(&self, indent: &str) -> String {
        let mut text = String::new();
        for row in self.table.lines() {
            line(&mut text, format_args!("{indent}{}", row.strip_prefix(' ').unwrap_or(&row).trim_end()));
        }
        text
    }
}

/// Names with a value each, one a line.
#[derive(Default)]
pub(crate) struct Facts {
    lines: Vec<(&'static str, String)>,
}

impl Facts {
    /// Adds a fact.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.lines.push((name, clean(&value.to_string())));
        self
    }

    /// Adds a fact if there is a value.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Its text, the values below each other.
    pub(crate) fn text(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.lines {
            line(&mut text, format_args!("{name:width$}  {}", value.trim_end()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cleaned() {
        let mut columns = Columns::new(["NAME", "SCORE"]).right(1);
        columns.row(["one\x1b[31m".into(), "9.5".into()]);
        columns.row(["a longer one".into(), "100.0".into()]);
        assert_eq!(columns.text("  "), "  NAME          SCORE\n  one[31m         9.5\n  a longer one  100.0\n");
    }

    #[test]
    fn facts_stand_below_each_other() {
        let facts = Facts::default().with("id", 7).with_some("none", None::<u8>).with("longer", "x\ny");
        assert_eq!(facts.text(), "id      7\nlonger  xy\n");
    }
}
