// Command hermes-logs prints what gateways have logged, and what they log.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Logs(os.Args)) }
