// A service as people write them: an HTTP server that calls `back` and hands the context on with OpenTelemetry's propagators.
'use strict';

const http = require('node:http');
const { ROOT_CONTEXT, defaultTextMapGetter, defaultTextMapSetter } = require('@opentelemetry/api');
const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core');

// What its Node SDK propagates unless somebody says otherwise.
const propagator = new CompositePropagator({
  propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
});

http
  .createServer((request, response) => {
    const headers = { host: 'back' };
    const context = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter);
    propagator.inject(context, headers, defaultTextMapSetter);
    const call = { host: '127.0.0.1', port: process.env.OUTBOUND_PORT, path: '/work', headers };
    const fail = () => response.writeHead(502).end();
    http
      .get(call, (answer) => {
        answer.resume().on('end', () => response.writeHead(answer.statusCode, { 'content-length': 0 }).end());
      })
      .on('error', fail);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
