// Command line prints a line and nothing else: what the start of any Go program
// costs.
package main

import "os"

func main() { os.Stdout.WriteString("line\n") }
