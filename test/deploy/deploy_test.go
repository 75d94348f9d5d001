// Package deploy holds what deploy/ ships to the types of those who read it: Kubernetes'
// API, and the loader of docker stack deploy. It is a module of its own, since no program
// of ours has those.
package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/cli/compose/loader"
	compose "github.com/docker/cli/cli/compose/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// A wrong is a mistake in a file: what stands there, and what is to be found in its place.
type wrong struct{ right, wrong string }

// TestKubernetes: each object of kubernetes.yaml is one of the API, and has no field that
// its type has not.
func TestKubernetes(t *testing.T) {
	check(t, "../../deploy/kubernetes.yaml", kubernetes, map[string]wrong{
		"a field of the pod's":       {"enableServiceLinks: false", "enableServiceLink: false"},
		"a field of the container's": {"readOnlyRootFilesystem", "readOnlyRootFileSystem"},
		"a field of a probe's":       {"failureThreshold: 60", "failuresThreshold: 60"},
		"a key twice":                {"replicas: 3", "replicas: 3\n  replicas: 5"},
		"a field in another's place": {"  ordinals:\n    start: 1\n", "  start: 1\n"},
		"a text for a number":        {"replicas: 3", `replicas: "3"`},
		"no amount of memory":        {"memory: 4Gi", "memory: 4Gib"},
		"no kind":                    {"kind: StatefulSet", "kind: StatefullSet"},
		"no version":                 {"apiVersion: apps/v1", "apiVersion: apps/v2"},
	})
}

// TestSwarm: docker stack deploy takes swarm.yaml, all of it.
func TestSwarm(t *testing.T) {
	check(t, "../../deploy/swarm.yaml", swarm, map[string]wrong{
		"a field of the service's": {"stop_grace_period:", "stop_grace:"},
		"a field of the deploy's":  {"update_config:", "updates_config:"},
		"a field of the limits'":   {"pids: 4096", "pid: 4096"},
		"a text for a number":      {"retries: 3", "retries: three"},
		"no duration":              {"stop_grace_period: 30s", "stop_grace_period: 30 s"},
		"what a swarm passes over": {"read_only: true", "read_only: true\n    privileged: true"},
		"no variable":              {"${HERMES_IMAGE:-hermes-s6:latest}", "${HERMES IMAGE}"},
	})
}

// check shows that file is well, and not with one of wrongs in it.
func check(t *testing.T, file string, load func(text []byte) error, wrongs map[string]wrong) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := load(text); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	for name, w := range wrongs {
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(text, []byte(w.right)) {
				t.Fatalf("%s has no %q", file, w.right)
			}
			err := load(bytes.Replace(text, []byte(w.right), []byte(w.wrong), 1))
			if err == nil {
				t.Fatalf("%q was taken", w.wrong)
			}
			t.Log(err)
		})
	}
}

// kubernetes decodes text's objects as a server does that validates strictly.
func kubernetes(text []byte) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(core.AddToScheme(scheme), apps.AddToScheme(scheme)); err != nil {
		return err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, _, err = strict.Decode(document, nil, nil)
		}
		if err != nil {
			return err
		}
	}
}

// swarm loads text as docker stack deploy does, with no variable set, and refuses what that
// would pass over.
func swarm(text []byte) error {
	tree, err := loader.ParseYAML(text)
	if err != nil {
		return err
	}
	_, err = loader.Load(compose.ConfigDetails{
		WorkingDir:  ".",
		ConfigFiles: []compose.ConfigFile{{Filename: "swarm.yaml", Config: tree}},
		Environment: map[string]string{},
	})
	if err != nil {
		return err
	}
	passedOver := loader.GetUnsupportedProperties(tree)
	for name, instead := range loader.GetDeprecatedProperties(tree) {
		passedOver = append(passedOver, name+" ("+instead+")")
	}
	if slices.Sort(passedOver); len(passedOver) > 0 {
		return fmt.Errorf("passed over: %s", strings.Join(passedOver, ", "))
	}
	return nil
}
