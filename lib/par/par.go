// Package par does many things that have nothing to do with each other at once,
// on every processor. What they are it does not know, but that each has files open.
package par

import (
	"runtime"
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

// AtOnce is Do for calls that wait more than they work: so many at a time, whatever
// the processors. With 1 they come in order.
func AtOnce(n, most int, f func(i int)) {
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
