// Command hermes-detect prints which service manager is in charge.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Detect(os.Args)) }
