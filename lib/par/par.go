// Package par does many things that have nothing to do with each other at once,
// on every processor. What they are it does not know, but that each has files open.
package par

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Do calls f with each number below n, several at a time, and returns when all
// calls have.
func Do(n int, f func(i int)) {
	if n == 1 {
		f(0) // the most usual number, for which no thread is worth its start
		return
	}
	// Each may have as many descriptors as are for the rest, and one can always work.
	const each = 8
	AtOnce(n, min(runtime.GOMAXPROCS(0), max(Descriptors()/each, 2)-1), f)
}

// many things need more memory than a collector of garbage has to know of.
const many = 1000

// LimitMemory has the collector of garbage keep up with n things. Threads that are in system
// calls most of the time leave it behind: of 10,000 profiles, which need 12 MB, it was
// 90 MB. A limit that somebody else has set stays.
func LimitMemory(n int) {
	if n < many {
		return
	}
	limit := max(20<<20, int64(n)*2<<10)
	if now := debug.SetMemoryLimit(-1); now == math.MaxInt64 || now == limited.Load() && now < limit {
		limited.Store(limit)
		debug.SetMemoryLimit(limit)
	}
}

// limited is the limit that LimitMemory has set.
var limited atomic.Int64

// AtOnce is Do for calls that wait more than they work: so many at a time, whatever
// the processors. With 1 they come in order.
func AtOnce(n, most int, f func(i int)) {
	LimitMemory(n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, most) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		}()
	}
	wg.Wait()
}
