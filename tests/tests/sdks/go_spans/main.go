// Prints the spans that ../spans.rs expects, with the console exporter of OpenTelemetry for Go: one a line, or indented with `pretty`.
package main

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	var options []stdouttrace.Option
	if len(os.Args) > 1 && os.Args[1] == "pretty" {
		options = append(options, stdouttrace.WithPrettyPrint())
	}
	exporter, err := stdouttrace.New(options...)
	if err != nil {
		panic(err)
	}
	tracer := func(service string) trace.Tracer {
		of := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("cloud.availability_zone", "eu-1a"))
		return sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithResource(of)).Tracer("t")
	}
	front, cart, worker := tracer("front"), tracer("cart"), tracer("worker")
	kind := trace.WithSpanKind
	ctx, root := front.Start(context.Background(), "POST /checkout", kind(trace.SpanKindServer),
		trace.WithAttributes(attribute.Int("http.response.status_code", 200), attribute.String("quotes", "it's \"x\"\n`y` ä")))
	asking, client := front.Start(ctx, "GET /cart/7", kind(trace.SpanKindClient), trace.WithAttributes(attribute.String("server.address", "cart")))
	_, server := cart.Start(asking, "GET /cart/7", kind(trace.SpanKindServer))
	server.SetStatus(codes.Error, "no")
	server.RecordError(errors.New("no"))
	server.End()
	client.SetStatus(codes.Error, "no")
	client.End()
	_, sent := front.Start(ctx, "orders publish", kind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", "orders")))
	sent.End()
	root.End()
	_, took := worker.Start(context.Background(), "orders process", kind(trace.SpanKindConsumer), trace.WithLinks(trace.Link{SpanContext: sent.SpanContext()}))
	took.End()
}
