package par

// Descriptors is for systems that limit them.
func Descriptors() int { return 1 << 20 }
