// Command hermes-svc-register makes the slot of a profile's gateway and has s6 supervise it.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Register(os.Args)) }
