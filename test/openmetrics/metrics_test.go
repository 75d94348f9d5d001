//go:build linux

// Package openmetrics has parsers of the Prometheus project read what hermes-svstat --metrics
// prints. It is a module of its own, because the product needs none of those.
package openmetrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// printed runs hermes-svstat --metrics on slots without supervisors, and on service
// directories with names that must be escaped.
func printed(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "hermes-svstat")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", program, "./cmd/hermes-svstat")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := []string{"--metrics", "--scandir", dir, "--home", dir, "--"}
	for _, name := range []string{"gateway-coder", "gateway-writer", `a "quoted" \ name`, "two\nlines", "no\xffUTF-8", "\x1b[31mred"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, name))
	}
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return out
}

// TestOpenMetrics: Prometheus reads it as OpenMetrics, and its own checks of names succeed.
func TestOpenMetrics(t *testing.T) {
	text := printed(t)
	series, err := parse(text)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	for _, want := range []string{
		`{__name__="hermes_gateway_up", name="coder"} 0`,
		`{__name__="hermes_gateway_up", name="a \"quoted\" \\ name"} 0`,
		`{__name__="hermes_gateway_up", name="two lines"} 0`,
		`{__name__="hermes_gateway_state", name="writer", state="unsupervised"} 1`,
		`{__name__="hermes_gateway_state", name="writer", state="up"} 0`,
	} {
		if !slices.Contains(series, want) {
			t.Errorf("%s is missing:\n%s", want, strings.Join(series, "\n"))
		}
	}
	if _, err := parse(bytes.TrimSuffix(text, []byte("# EOF\n"))); err == nil {
		t.Error("the parser takes a text without its end")
	}
}

// parse returns each series with its value. It returns an error for a series that is invalid,
// duplicate, apart from the others of its name, or of another unit than its name says.
func parse(text []byte) (series []string, err error) {
	p := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable())
	seen, kinds, last := map[string]bool{}, map[string]model.MetricType{}, ""
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return series, nil
		}
		if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			if kinds[string(name)] != "" {
				return nil, fmt.Errorf("%s has two types", name)
			}
			kinds[string(name)], last = kind, string(name)
		case textparse.EntryUnit:
			if name, unit := p.Unit(); !strings.HasSuffix(string(name), "_"+string(unit)) {
				return nil, fmt.Errorf("%s is in %s", name, unit)
			}
		case textparse.EntrySeries:
			var l labels.Labels
			p.Labels(&l)
			_, _, value := p.Series()
			name := l.Get(labels.MetricName)
			if name != last || kinds[name] != model.MetricTypeGauge || seen[l.String()] || !l.IsValid(model.LegacyValidation) {
				return nil, fmt.Errorf("%v, below %s: of type %q", l, last, kinds[name])
			}
			seen[l.String()] = true
			series = append(series, fmt.Sprint(l, " ", value))
		}
	}
}

// TestText: node exporter, which reads the older text format, accepts the same text.
func TestText(t *testing.T) {
	text := printed(t)
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	up := families["hermes_gateway_up"]
	if up == nil || len(up.GetMetric()) != 6 || up.GetType().String() != "GAUGE" {
		t.Errorf("hermes_gateway_up: %v", up)
	}
	series, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	if n != len(series) {
		t.Errorf("%d series, and %d as OpenMetrics", n, len(series))
	}
}
