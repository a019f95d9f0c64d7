//! How a program ends: 0 if all was well, 1 if not, 2 where it could not be tried.

use std::process::ExitCode;

use serde::Serialize;

use crate::kernel::Unavailable;

/// The exit code of a program whose checks passed or did not; what kept it from checking goes to standard error.
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

/// Prints one figure or a whole report on a line of its own: as JSON, or as `key: value` pairs.
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
