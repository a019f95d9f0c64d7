//! The page that shows the table: `TABLE.md`, beside this file.

use std::fmt::Write;
use std::path::Path;

use crate::rows;

const HEAD: &str = "# Bad input

Every public entry point with every kind of wrong value, and the error that it answers. The test `bad_input` writes this page
(`USER_RINGBUF_BLESS=1`) and tries each row against the real kernel.

| Entry point | Wrong value | Error | It says |
|---|---|---|---|
";

fn page() -> String {
    let mut page = String::from(HEAD);
    for row in rows::all() {
        // A bar would end the cell.
        let says = row.says.replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {} | `{}` | ... {says} ... |", row.entry, row.value, row.error);
    }
    page
}

#[test]
fn the_page_shows_the_table_that_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input/TABLE.md");
    if std::env::var_os("USER_RINGBUF_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, page()).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == page(), "TABLE.md shows another table: run this test with USER_RINGBUF_BLESS=1");
}
