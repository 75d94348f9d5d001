//go:build linux

package svstat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/must"
	"hermes-s6/lib/profile"
)

// slots makes n slots without supervisors, each of them with a status, and a home with what
// their gateways say about themselves.
func slots(b *testing.B, n int) (*Reader, []Asked) {
	b.Helper()
	scan, home := b.TempDir(), b.TempDir()
	var asked []Asked
	for i := range n {
		name := fmt.Sprint("p", i)
		must.Do(b, os.MkdirAll(filepath.Join(scan, profile.Slot(name), "supervise"), 0o755))
		for _, file := range []string{"status", "lock"} {
			must.Do(b, os.WriteFile(filepath.Join(scan, profile.Slot(name), "supervise", file), make([]byte, 35), 0o644))
		}
		must.Do(b, os.MkdirAll(filepath.Join(home, "profiles", name), 0o755))
		must.Do(b, os.WriteFile(filepath.Join(home, "profiles", name, "gateway_state.json"),
			[]byte(`{"desired_state":"running","gateway_state":"running","pid":1,"start_time":1,"platforms":{"telegram":{"state":"connected"}}}`), 0o644))
		asked = append(asked, GatewayAsked(name))
	}
	d, err := dir.Open(scan)
	must.Do(b, err)
	b.Cleanup(d.Close)
	for i := range asked {
		asked[i].In = d
	}
	r := &Reader{OpenHome: func() (*profile.Home, error) { return profile.OpenHome(home, -1, -1) }}
	b.Cleanup(r.Close)
	return r, asked
}

// BenchmarkMetrics of 1,000 gateways: reading them is the floor, and printing is the
// additional cost of metrics.
func BenchmarkMetrics(b *testing.B) {
	r, asked := slots(b, 1000)
	read := func(b *testing.B) []State {
		states, errs := r.Read(asked, Object)
		must.Do(b, errors.Join(errs...))
		return states
	}
	b.Run("floor", func(b *testing.B) {
		for range b.N {
			read(b)
		}
	})
	b.Run("metrics", func(b *testing.B) {
		for range b.N {
			Metrics(bufio.NewWriter(io.Discard), read(b))
		}
	})
}
