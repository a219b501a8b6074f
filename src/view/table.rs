//! Aligned columns of plain text.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lean {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under their titles, each line indented by `indent` blanks and without blanks at its end.
pub(super) fn columns<const N: usize>(
    titles: [(&str, Lean); N],
    rows: impl IntoIterator<Item = [String; N]>,
    indent: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(titles.map(|(title, lean)| cell(title.to_owned(), lean)));
    for row in rows {
        let leans = titles.map(|(_, lean)| lean);
        table.add_row(row.into_iter().zip(leans).map(|(text, lean)| cell(text, lean)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let blank = " ".repeat(indent);
    table.lines().map(|line| format!("{blank}{}\n", line.trim_end())).collect()
}

fn cell(text: String, lean: Lean) -> Cell {
    let alignment = match lean {
        Lean::Left => CellAlignment::Left,
        Lean::Right => CellAlignment::Right,
    };
    Cell::new(text).set_alignment(alignment)
}
