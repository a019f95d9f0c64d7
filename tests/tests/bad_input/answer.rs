//! What an entry point answered to a wrong value.

use std::error::Error;

/// An error, as a row of the table names it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Type and variant, such as `MapError::NotAMap`.
    pub(crate) error: String,
    /// What it says.
    pub(crate) text: String,
}

impl Answer {
    /// The error of an attempt that has to fail.
    pub(crate) fn of<T, E: Error>(attempt: Result<T, E>) -> Self {
        match attempt {
            Ok(_) => Self { error: "none: it succeeded".into(), text: String::new() },
            Err(error) => Self { error: name(&error), text: error.to_string() },
        }
    }

    /// It as text, for a process that is not the one to judge it.
    pub(crate) fn written(&self) -> String {
        format!("{}\n{}", self.error, self.text)
    }

    /// What another process has written.
    pub(crate) fn read(written: &str) -> Self {
        let (error, text) = written.split_once('\n').unwrap_or((written, ""));
        Self { error: error.into(), text: text.into() }
    }
}

/// The type's name without path and parameters, and the variant's, which its `Debug` begins with.
fn name<E: Error>(error: &E) -> String {
    let full = std::any::type_name::<E>();
    let full = full.split('<').next().unwrap_or(full);
    let kind = full.rsplit("::").next().unwrap_or(full);
    let debug = format!("{error:?}");
    let variant = debug.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
    // An error number has no variants.
    if variant == kind || kind == "Errno" { kind.into() } else { format!("{kind}::{variant}") }
}
