//go:build linux

package reconcile

import (
	"os"
	"strings"
	"sync"
)

// How a gateway ended that did not record its end.
const (
	Unclean = "unclean" // the gateway or its container was killed
	OOM     = "oom"     // the same, and a process was killed for lack of memory
)

// priorExit distinguishes the two by the container's control group, whose counters cover the
// present run of the container. Docker, containerd and Podman create a new group, with zero
// counters, when a container starts again. So after such a restart OOM cannot be detected,
// whatever caused it. It can be detected if s6-svscan died or was restarted while the
// container and its group stayed. The counter does not say which process was killed: it may
// have been an unrelated one.
var priorExit = sync.OnceValue(func() string {
	events, _ := os.ReadFile("/sys/fs/cgroup/memory.events")
	return exitBy(string(events))
})

// exitBy distinguishes the two by the text of memory.events (cgroups(7)).
func exitBy(events string) string {
	for line := range strings.Lines(events) {
		if key, count, _ := strings.Cut(strings.TrimSpace(line), " "); key == "oom_kill" && count != "0" {
			return OOM
		}
	}
	return Unclean
}
