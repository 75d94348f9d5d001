//go:build unix

package proc

// text returns what a program has printed, which was asked to do so in plain ASCII.
func text(said []byte) string { return string(said) }
