//! Nothing: its dependency compiles libFuzzer.
