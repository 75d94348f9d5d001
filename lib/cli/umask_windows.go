package cli

func clearUmask() {}
