// Command hermes-s6 is all programs of the suite in one. It does the job of the program whose
// name it is called by.
package main

import (
	"os"

	"hermes-s6/lib/command"
)

func main() { os.Exit(command.Suite(os.Args)) }
