// Says of PromQL what Prometheus's own parser does: reads texts from standard input, each a JSON string on a line, and answers each with a line of JSON:
// {"formatted": ...} as Prometheus writes it, or {"error": ...}.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type answer struct {
	Formatted string `json:"formatted,omitempty"`
	Error     string `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			log.Fatal(err)
		}
		expr, err := parser.ParseExpr(text)
		said := answer{}
		if err != nil {
			said.Error = err.Error()
		} else {
			said.Formatted = expr.Pretty(0)
		}
		if err := out.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
