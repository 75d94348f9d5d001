package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const file = "../../../deploy/hermes.container"

// TestQuadlet: podman's generator takes hermes.container, and not with a mistake in it.
func TestQuadlet(t *testing.T) {
	if words, err := command(file, "ExecStart"); err != nil || words[len(words)-1] != "localhost/hermes-s6:latest" {
		t.Errorf("%q, %v", words, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for right, wrong := range map[string]string{
		"ReadOnly=true":       "ReadOnlyRoot=true",
		"StopTimeout=30":      "StopTimout=30",
		"Image=":              "Picture=",
		"HealthCmd=":          "HealthCommand=",
		"[Service]":           "[Service",
		"Volume=hermes-home:": "Volumes=hermes-home:",
	} {
		if !bytes.Contains(text, []byte(right)) {
			t.Fatalf("no %q", right)
		}
		path := filepath.Join(t.TempDir(), "hermes.container")
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), right, wrong, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := command(path, "ExecStart"); err == nil {
			t.Errorf("%q was taken", wrong)
		} else {
			t.Log(err)
		}
	}
}
