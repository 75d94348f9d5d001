//go:build linux

package s6

// FirstLooks is how often Wait looks before it watches.
const FirstLooks = firstLooks
