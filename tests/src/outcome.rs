//! Exit codes of the programs: 0 if all was well, 1 if not, 2 if it could not be tried.

use std::process::ExitCode;

use serde::Serialize;

use crate::kernel::Unavailable;

/// The exit code for checks that passed or failed. An error that kept them from running goes to standard error.
#[must_use]
pub fn exit_code(passed: anyhow::Result<bool>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(if error.is::<Unavailable>() { 2 } else { 1 })
        }
    }
}

/// Prints a report as one line: JSON, or `key: value` pairs.
///
/// # Errors
/// If `report` can't be written as JSON.
pub fn print(report: &impl Serialize, json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(report)?;
    match value {
        serde_json::Value::Object(fields) if !json => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            println!("{}", fields.join(", "));
        }
        _ => println!("{}", serde_json::to_string(report)?),
    }
    Ok(())
}
