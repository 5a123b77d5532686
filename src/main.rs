//! The program: parse, run, print the error once, exit.

fn main() {}
