// Command floor prints a line by way of the option library, with one option: what
// the start of any program that uses it costs.
package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
)

func main() {
	app := &cli.App{
		Name:   "floor",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "loud"}},
		Action: func(c *cli.Context) error { fmt.Println("line"); return nil },
	}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
