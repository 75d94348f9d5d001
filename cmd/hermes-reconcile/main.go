// Command hermes-reconcile makes the slots match the profiles, at boot and after.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Reconcile(os.Args)) }
