// Command hermes-svc-unregister stops gateways and removes their slots.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Unregister(os.Args)) }
