package par

// room is for systems that limit descriptors.
func room() int { return 1 << 20 }
