//! How findings look: underlined as compilers do, on one line for logs, and bounded.

use pgvs::config::finding::Style;
use pgvs::config::sources::check_text;

use super::{findings, good_with};

#[test]
fn a_finding_underlines_the_text_and_says_what_to_do() {
    let text = good_with("address = \"10.9.0.100:5432\"", "address = \"10.9.0.100:0\"");
    let error = check_text("pgvs.toml", &text).unwrap_err();
    let expected = r#"error: 10.9.0.100:0: 0 is not a port, but all of them, which a client must keep to one server
  --> pgvs.toml:29:11
   |
29 | address = "10.9.0.100:0"
   |           ^^^^^^^^^^^^^^ needs persistence
   |
   = help: write 10.9.0.100:5432, or persistence_timeout = "5m" beside it"#;
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        error.line(),
        "pgvs.toml:29:11: 10.9.0.100:0: 0 is not a port, but all of them, which a client must keep to one server; write 10.9.0.100:5432, or persistence_timeout = \"5m\" beside it"
    );
}

#[test]
fn two_places_are_both_shown() {
    let text = good_with("name = \"pg2\"", "name = \"pg1\"");
    let error = check_text("pgvs.toml", &text).unwrap_err();
    let expected = r#"error: two servers of the pool are named "pg1"
  --> pgvs.toml:13:8
   |
13 | name = "pg1"
   |        ^^^^^ this one
   |
  ::: pgvs.toml:10:8
   |
10 | name = "pg1"
   |        ----- and this one
   |
   = help: rename one of them, or remove it"#;
    assert_eq!(error.to_string(), expected);
    assert!(error.line().contains("(pgvs.toml:10:8)"), "{}", error.line());
}

#[test]
fn columns_count_characters() {
    let text = "[[pool]]\nname = \"x\"\n[[pool.server]]\nname = \"x\" # \u{e4}\naddress = \"1.1.1.1:1\"\n[[pool.server]]\n\"\u{6e}ame\" = \"y\"\naddress = 'ä:ö'\n";
    let mark = &findings(text)[0].marks[0];
    assert_eq!((mark.line, mark.column), (8, 11));
}

#[test]
fn the_rest_of_a_long_line_is_left_out_and_its_column_kept() {
    let text = format!("{}name = \"a/b\"{}\n", " ".repeat(5_000), " ".repeat(5_000));
    let error = check_text("t.toml", &format!("[director]\n{text}")).unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("t.toml:2:5008"), "{shown}");
    assert!(shown.contains("name = \"a/b\"") && shown.len() < 1_000, "{shown}");
}

#[test]
fn colours_are_for_terminals_only() {
    let error = check_text("t.toml", "x = 1\n").unwrap_err();
    assert!(error.0.render(Style::Terminal).contains("\u{1b}["));
    assert!(!error.0.render(Style::Plain).contains('\u{1b}'));
}

#[test]
fn a_hundred_errors_are_shown_and_the_rest_counted() {
    let mut text = String::from("[[pool]]\nname = \"p\"\n");
    for number in 0..5_000 {
        text += &format!("[[pool.server]]\nname = \"s{number}\"\naddress = \"nowhere\"\n");
    }
    let error = check_text("t.toml", &text).unwrap_err();
    assert_eq!((error.0.errors, error.0.all.len(), error.0.hidden), (5_000, 100, 4_900));
    assert!(error.to_string().ends_with("and 4900 more of the kind"));
    assert!(error.line().ends_with("(and 4999 more errors)"));
}

#[test]
fn errors_come_first_and_each_in_the_files_order() {
    let text = good_with("\"wrr\"", "\"dh\"")
        .replace("\"pg1\"", "\"pg/1\"")
        .replace("\"lb1\"", "\"lb/1\"");
    let lines: Vec<usize> = findings(&text).iter().map(|finding| finding.marks[0].line).collect();
    assert_eq!(lines, [3, 10, 37]);
}
