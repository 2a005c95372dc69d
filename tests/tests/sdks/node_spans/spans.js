// Prints the spans that ../spans.rs expects, with the console exporter of OpenTelemetry for JavaScript.
'use strict';
const { SpanKind, SpanStatusCode, ROOT_CONTEXT, trace } = require('@opentelemetry/api');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, ConsoleSpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const tracer = (service) => {
  const resource = resourceFromAttributes({ 'service.name': service, 'cloud.availability_zone': 'eu-1a' });
  return new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] }).getTracer('t');
};
const [front, cart, worker] = ['front', 'cart', 'worker'].map(tracer);
const start = (of, name, kind, attributes, parent, links) =>
  of.startSpan(name, { kind, attributes, links }, parent ? trace.setSpan(ROOT_CONTEXT, parent) : ROOT_CONTEXT);
const told = { 'http.response.status_code': 200, quotes: 'it\'s "x"\n`y` ä' };
const root = start(front, 'POST /checkout', SpanKind.SERVER, told);
const client = start(front, 'GET /cart/7', SpanKind.CLIENT, { 'server.address': 'cart' }, root);
const server = start(cart, 'GET /cart/7', SpanKind.SERVER, {}, client);
server.setStatus({ code: SpanStatusCode.ERROR, message: 'no' });
server.recordException(new Error('no'));
server.end();
client.setStatus({ code: SpanStatusCode.ERROR, message: 'no' });
client.end();
const sent = start(front, 'orders publish', SpanKind.PRODUCER, { 'messaging.system': 'kafka', 'messaging.destination.name': 'orders' }, root);
sent.end();
root.end();
start(worker, 'orders process', SpanKind.CONSUMER, {}, undefined, [{ context: sent.spanContext() }]).end();
