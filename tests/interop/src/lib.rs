//! Nothing: the examples are in `examples`, and their tests share the test kit.
