// Command hermes-fence runs a program while no other container runs the same gateway.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Fence(os.Args)) }
