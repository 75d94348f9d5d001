// Command hermes-svstat shows what gateways are doing.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Svstat(os.Args)) }
