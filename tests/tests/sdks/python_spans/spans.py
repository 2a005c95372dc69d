"""Prints the spans that ../spans.rs expects, with the console exporter of OpenTelemetry for Python."""

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode


def tracer(service):
    provider = TracerProvider(resource=Resource.create({"service.name": service, "cloud.availability_zone": "eu-1a"}))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    return provider.get_tracer("t")


front, cart, worker = tracer("front"), tracer("cart"), tracer("worker")
told = {"http.response.status_code": 200, "quotes": "it's \"x\"\n`y` ä"}
message = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
with front.start_as_current_span("POST /checkout", kind=SpanKind.SERVER, attributes=told):
    with front.start_as_current_span("GET /cart/7", kind=SpanKind.CLIENT, attributes={"server.address": "cart"}) as client:
        with cart.start_as_current_span("GET /cart/7", kind=SpanKind.SERVER) as server:
            server.set_status(Status(StatusCode.ERROR, "no"))
            server.record_exception(ValueError("no"))
        client.set_status(Status(StatusCode.ERROR, "no"))
    with front.start_as_current_span("orders publish", kind=SpanKind.PRODUCER, attributes=message) as sent:
        pass
link = Link(sent.get_span_context())
with worker.start_as_current_span("orders process", context=Context(), kind=SpanKind.CONSUMER, links=[link]):
    pass
