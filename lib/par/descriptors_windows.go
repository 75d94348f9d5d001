package par

// Descriptors returns a large number: this system has no limit.
func Descriptors() int { return 1 << 20 }
