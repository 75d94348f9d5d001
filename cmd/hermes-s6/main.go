// Command hermes-s6 is all the programs of the suite in one: called by the name of
// one of them, it does that job.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Suite(os.Args)) }
