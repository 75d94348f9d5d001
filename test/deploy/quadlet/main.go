// Quadlet prints a command of the service that podman's own generator makes of a .container
// file, a word a line.
// usage: quadlet FILE ExecStart|ExecStop
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/containers/podman/v5/pkg/systemd/parser"
	"github.com/containers/podman/v5/pkg/systemd/quadlet"
)

func main() {
	words, err := command(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "quadlet: fatal:", err)
		os.Exit(1)
	}
	for _, w := range words {
		fmt.Println(w)
	}
}

// command returns the command key of the service of the file path, of an account's systemd.
func command(path, key string) ([]string, error) {
	unit, err := parser.ParseUnitFile(path)
	if err != nil {
		return nil, err
	}
	service, err := quadlet.ConvertContainer(unit, true, map[string]*quadlet.UnitInfo{unit.Filename: {ServiceName: "hermes"}})
	if err != nil {
		return nil, err
	}
	words, ok := service.LookupLastArgs(quadlet.ServiceGroup, key)
	if !ok {
		return nil, errors.New("no " + key)
	}
	return words, nil
}
