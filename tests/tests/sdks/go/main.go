// Hands baggage on as an application does: read from the incoming request, written into the outgoing one.
// A line of standard input is the baggage of a request; a line of standard output is what goes out.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"

	"go.opentelemetry.io/otel/propagation"
)

func main() {
	propagator := propagation.Baggage{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		incoming, outgoing := http.Header{}, http.Header{}
		incoming.Set("baggage", lines.Text())
		ctx := propagator.Extract(context.Background(), propagation.HeaderCarrier(incoming))
		propagator.Inject(ctx, propagation.HeaderCarrier(outgoing))
		fmt.Println(outgoing.Get("baggage"))
	}
}
