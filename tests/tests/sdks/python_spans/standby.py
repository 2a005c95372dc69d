"""Prints requests of a service that asks a standby where its main database failed, with the console exporter of OpenTelemetry for Python.

`old` or `new`: which of the semantic conventions. Times are set, so that nothing sleeps and every run prints the same but ids.
"""

import sys

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.semconv.attributes import db_attributes, server_attributes
from opentelemetry.semconv.trace import SpanAttributes
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

KEYS = {
    "new": (db_attributes.DB_SYSTEM_NAME, db_attributes.DB_NAMESPACE, server_attributes.SERVER_ADDRESS),
    "old": (SpanAttributes.DB_SYSTEM, SpanAttributes.DB_NAME, SpanAttributes.NET_PEER_NAME),
}
SYSTEM, NAME, HOST = KEYS[sys.argv[1]]
BEGAN = 1_790_000_000_000_000_000
MS = 1_000_000

provider = TracerProvider(resource=Resource.create({"service.name": "orders"}))
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
tracer = provider.get_tracer("t")


def query(parent, host, start, end, failed):
    told = {SYSTEM: "postgresql", NAME: "shop", HOST: host}
    asked = tracer.start_span("SELECT shop", set_span_in_context(parent), SpanKind.CLIENT, told, start_time=start)
    if failed:
        asked.set_status(Status(StatusCode.ERROR, "connection refused"))
    asked.end(end)


for request in range(60):
    start = BEGAN + request * 1_000 * MS
    fails = request % 4 == 0
    took = (3 + request % 5) * MS
    served = tracer.start_span("POST /orders", Context(), SpanKind.SERVER, start_time=start)
    query(served, "pg-main", start + MS, start + MS + took, fails)
    if fails:
        query(served, "pg-standby", start + 2 * MS + took, start + 9 * MS + took, False)
    served.end(start + 12 * MS + took)
