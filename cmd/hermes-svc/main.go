// Command hermes-svc starts, stops and restarts gateways.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Svc(os.Args)) }
