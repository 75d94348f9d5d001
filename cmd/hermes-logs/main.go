// Command hermes-logs prints the logs of gateways, and follows them.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Logs(os.Args)) }
