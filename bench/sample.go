//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// A sample is the times of one contender, round by round, or the ratios of two.
type sample []float64

// over returns the ratios of s to base, round by round.
func (s sample) over(base sample) sample {
	ratios := make(sample, len(s))
	for i := range s {
		ratios[i] = s[i] / base[i]
	}
	return ratios
}

// minus returns the differences of s and base, round by round.
func (s sample) minus(base sample) sample {
	differences := make(sample, len(s))
	for i := range s {
		differences[i] = s[i] - base[i]
	}
	return differences
}

// quantile returns the value that a share q of s does not exceed.
func (s sample) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func (s sample) median() float64 { return s.quantile(0.5) }

// ratio returns the median of s, and the range of the middle eight of ten.
func (s sample) ratio() string {
	return fmt.Sprintf("%s (%s to %s)", figure(s.median()), figure(s.quantile(0.1)), figure(s.quantile(0.9)))
}

// figure formats x with its significant digits.
func figure(x float64) string {
	switch size := math.Abs(x); {
	case size >= 100:
		return fmt.Sprintf("%.0f", x)
	case size >= 10:
		return fmt.Sprintf("%.1f", x)
	case size >= 0.1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

// count formats n with commas between thousands.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
