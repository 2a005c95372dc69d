// Hands baggage on as an application does: read from the incoming request, written into the outgoing one.
// A line of standard input is the baggage of a request; a line of standard output is what goes out.
'use strict';

const { createInterface } = require('node:readline');
const { ROOT_CONTEXT, defaultTextMapGetter, defaultTextMapSetter } = require('@opentelemetry/api');
const { W3CBaggagePropagator } = require('@opentelemetry/core');

const propagator = new W3CBaggagePropagator();
createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', (line) => {
  const outgoing = {};
  const context = propagator.extract(ROOT_CONTEXT, { baggage: line }, defaultTextMapGetter);
  propagator.inject(context, outgoing, defaultTextMapSetter);
  console.log(outgoing.baggage ?? '');
});
