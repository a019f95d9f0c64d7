//! The table in `TESTING.md`.

use std::fmt::Write;
use std::path::Path;

use crate::rows;

const BEGIN: &str = "<!-- The table of tests/tests/bad_input: begin. USER_RINGBUF_BLESS=1 writes it anew. -->\n";
const END: &str = "<!-- The table of tests/tests/bad_input: end. -->\n";

fn table() -> String {
    let mut table = String::from("| Entry point | Wrong value | Error | It says |\n|---|---|---|---|\n");
    for row in rows::all() {
        // A bar would end the cell.
        let says = row.says.replace('|', "\\|");
        let _ = writeln!(table, "| `{}` | {} | `{}` | ... {says} ... |", row.entry, row.value, row.error);
    }
    table
}

#[test]
fn the_table_in_the_papers_is_the_one_that_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../TESTING.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("TESTING.md has the table's begin");
    let (found, after) = rest.split_once(END).expect("and its end");
    if std::env::var_os("USER_RINGBUF_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, [before, BEGIN, &table(), END, after].concat()).unwrap();
        return;
    }
    assert!(found == table(), "TESTING.md has another table: run this test with USER_RINGBUF_BLESS=1");
}
