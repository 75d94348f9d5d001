// Command hermes-registrar does for an account what only root may do.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Registrar(os.Args)) }
