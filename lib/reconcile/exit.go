//go:build linux

package reconcile

import (
	"os"
	"strings"
	"sync"
)

// How a gateway ended that did not say that it did.
const (
	Unclean = "unclean" // killed, or its container was
	OOM     = "oom"     // the same, and something was killed for want of memory
)

// priorExit tells one from the other by the container's control group. What it counts
// is of this life of the container: Docker, containerd and Podman make a new group, at
// zero, when a container starts again, so after a restart OOM cannot be known, whatever
// the reason of that was. It shows where s6-svscan died or was restarted, and the
// container and its group stayed. Whose process was killed is not said there, and may
// have been another's.
var priorExit = sync.OnceValue(func() string {
	events, _ := os.ReadFile("/sys/fs/cgroup/memory.events")
	return exitBy(string(events))
})

// exitBy tells one from the other by the text of memory.events (cgroups(7)).
func exitBy(events string) string {
	for line := range strings.Lines(events) {
		if key, count, _ := strings.Cut(strings.TrimSpace(line), " "); key == "oom_kill" && count != "0" {
			return OOM
		}
	}
	return Unclean
}
