//! Hands baggage on as an application does: read from the incoming request, written into the outgoing one.
//! A line of standard input is the baggage of a request; a line of standard output is what goes out.

use std::collections::HashMap;
use std::io::{BufRead, stdin};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;

fn main() {
    let propagator = BaggagePropagator::new();
    for line in stdin().lock().lines().map_while(Result::ok) {
        let incoming = HashMap::from([("baggage".to_owned(), line)]);
        let context = propagator.extract(&incoming);
        let mut outgoing = HashMap::new();
        propagator.inject_context(&context, &mut outgoing);
        println!("{}", outgoing.get("baggage").map_or("", String::as_str));
    }
}
