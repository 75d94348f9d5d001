// Package par does many independent things at once, on every processor. It knows nothing about
// them except that each one has files open.
package par

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Do calls f with each number below n, several at a time, and returns when all calls have
// returned.
func Do(n int, f func(i int)) {
	if n == 1 {
		f(0) // the most usual number, for which starting a thread costs more than it saves
		return
	}
	// Each call may have as many descriptors as are kept for other uses, and one call can
	// always run.
	const each = 8
	AtOnce(n, min(runtime.GOMAXPROCS(0), max(Descriptors()/each, 2)-1), f)
}

// many things need so much memory that the garbage collector must be limited.
const many = 1000

// LimitMemory makes the garbage collector keep up with n things. Threads that are in system
// calls most of the time outrun it: for 10,000 profiles, which need 12 MB, memory grew to 90
// MB. A limit that was set otherwise stays.
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

// AtOnce is Do for calls that wait more than they work. most limits how many run at a time,
// whatever the number of processors. With 1 they run in order.
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
