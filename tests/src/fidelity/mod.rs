//! The fake kernel on trial: ring images drawn from a seed go through it and through the real one, and every result is
//! compared.
//!
//! - [`image`] is what is put on trial, [`draw`] makes it up from a seed.
//! - [`side`] is a ring and the kernel that drains it: [`kernel`] the real one, [`sim`] the fake one.
//! - [`compare`] puts one case on both and shrinks what differs; [`outcome`] counts which rules were met.
//! - [`trial`] is the whole run.

pub mod compare;
pub mod draw;
pub mod image;
pub mod kernel;
pub mod outcome;
mod script;
mod shrink;
pub mod side;
pub mod sim;
pub mod trial;
