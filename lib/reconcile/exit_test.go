//go:build linux

package reconcile

import "testing"

func TestExitBy(t *testing.T) {
	for events, want := range map[string]string{
		"": Unclean, // no cgroup v2
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 0\noom_group_kill 0\n": Unclean,
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n": OOM,
		"oom_group_kill 1\n": Unclean,
		"oom_kill 1":         OOM,
	} {
		if got := exitBy(events); got != want {
			t.Errorf("exitBy(%q) = %s, want %s", events, got, want)
		}
	}
}
