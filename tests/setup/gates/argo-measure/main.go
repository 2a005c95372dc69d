// Takes each metric of AnalysisTemplates once, as the Argo Rollouts controller does: with its own argument resolver, Prometheus provider and condition
// evaluator. No cluster, no API server.
//
//	argo-measure PROMETHEUS TEMPLATE.yaml...
//
// One line of JSON for each metric: file, metric, phase, value, message and the query that was sent.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-rollouts/metricproviders/prometheus"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	analysisutil "github.com/argoproj/argo-rollouts/utils/analysis"
	log "github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

func main() {
	log.SetLevel(log.PanicLevel)
	for _, file := range os.Args[2:] {
		if err := measure(os.Args[1], file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func measure(address, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var template v1alpha1.AnalysisTemplate
	if err := yaml.UnmarshalStrict(text, &template); err != nil {
		return err
	}
	if err := analysisutil.ValidateMetrics(template.Spec.Metrics); err != nil {
		return err
	}
	args := template.Spec.Args
	for i := range args {
		if args[i].Name == "prometheus-address" {
			args[i].Value = &address
		}
	}
	if err := analysisutil.ResolveArgs(args); err != nil {
		return err
	}
	for _, metric := range template.Spec.Metrics {
		tell(file, metric, args)
	}
	return nil
}

func tell(file string, metric v1alpha1.Metric, args []v1alpha1.Argument) {
	out := map[string]any{"file": file, "metric": metric.Name}
	taken, query, err := take(metric, args)
	if err != nil {
		out["phase"], out["message"] = "Error", err.Error()
	} else {
		out["phase"], out["value"], out["message"], out["query"] = taken.Phase, taken.Value, taken.Message, query
	}
	line, _ := json.Marshal(out)
	fmt.Println(string(line))
}

func take(metric v1alpha1.Metric, args []v1alpha1.Argument) (v1alpha1.Measurement, string, error) {
	var none v1alpha1.Measurement
	resolved, err := analysisutil.ResolveMetricArgs(metric, args)
	if err != nil {
		return none, "", err
	}
	api, err := prometheus.NewPrometheusAPI(*resolved)
	if err != nil {
		return none, "", err
	}
	provider, err := prometheus.NewPrometheusProvider(api, *log.NewEntry(log.StandardLogger()), *resolved)
	if err != nil {
		return none, "", err
	}
	return provider.Run(nil, *resolved), resolved.Provider.Prometheus.Query, nil
}
