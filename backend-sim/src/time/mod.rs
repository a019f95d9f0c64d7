//! Time that moves only when a test moves it, and a consumer that drains by it.

mod clock;
mod consumer;
mod script;
mod waiter;

pub use clock::VirtualClock;
pub use consumer::ScriptedConsumer;
pub use script::Script;
pub use waiter::{NeverWoken, SimWaiter};

#[cfg(test)]
mod tests;
