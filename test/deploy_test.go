//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/reconcile"
)

// upProbe succeeds once the init scripts have ended successfully, whatever gateways there are.
const upProbe = "[hermes-svstat -o up /run/service/registrar]"

// TestSwarmFile: swarm.yaml gives each profile to exactly one replica, for any number of them,
// and sets what a swarm would otherwise choose itself.
func TestSwarmFile(t *testing.T) {
	needSource(t)
	for replicas, variables := range map[int]map[string]string{3: {}, 7: {"HERMES_REPLICAS": "7"}} {
		text := interpolate(readFile(t, "deploy/swarm.yaml"), variables)
		service := at(parseYAML(t, text)[0], "services.gateways")
		checkFields(t, service, map[string]string{
			"read_only":                                "true",
			"healthcheck.test":                         strings.Replace(upProbe, "[", "[CMD ", 1),
			"volumes.0":                                "home:/opt/data",
			"deploy.mode":                              "replicated",
			"deploy.replicas":                          strconv.Itoa(replicas),
			"deploy.update_config.order":               "stop-first", // never two of one shard
			"deploy.rollback_config.order":             "stop-first",
			"deploy.restart_policy.condition":          "any", // a shard is never given up
			"deploy.restart_policy.max_attempts":       "<nil>",
			"deploy.resources.limits.memory":           "4G",
			"deploy.resources.limits.pids":             "4096",
			"environment.S6_READ_ONLY_ROOT":            "1",
			"environment.S6_BEHAVIOUR_IF_STAGE2_FAILS": "2",
		})
		shard := fmt.Sprint(at(service, "environment.HERMES_SHARD"))
		checkShards(t, shard, "{{.Task.Slot}}", 1, replicas)
		grace, err := time.ParseDuration(fmt.Sprint(at(service, "stop_grace_period")))
		if err != nil {
			t.Error(err)
		}
		checkGrace(t, at(service, "environment.S6_KILL_GRACETIME"), grace)
	}
}

// TestKubernetesFile tests the same for kubernetes.yaml, as far as that is possible without a
// cluster.
func TestKubernetesFile(t *testing.T) {
	needSource(t)
	objects := map[string]any{}
	for _, o := range parseYAML(t, readFile(t, "deploy/kubernetes.yaml")) {
		objects[fmt.Sprint(at(o, "kind"))] = o
	}
	if kinds := slices.Sorted(maps.Keys(objects)); !slices.Equal(kinds, []string{"PersistentVolumeClaim", "Service", "StatefulSet"}) {
		t.Fatalf("kinds: %v", kinds)
	}
	checkFields(t, objects["PersistentVolumeClaim"], map[string]string{
		"metadata.name":    "hermes-home",
		"spec.accessModes": "[ReadWriteMany]",
	})
	checkFields(t, objects["Service"], map[string]string{
		"metadata.name":  "hermes",
		"spec.clusterIP": "None",
		"spec.selector":  "map[app:hermes]",
	})
	set := objects["StatefulSet"]
	checkFields(t, set, map[string]string{
		"spec.serviceName":              "hermes",
		"spec.podManagementPolicy":      "Parallel",
		"spec.updateStrategy.type":      "RollingUpdate",
		"spec.selector.matchLabels":     "map[app:hermes]",
		"spec.template.metadata.labels": "map[app:hermes]",
	})
	pod := at(set, "spec.template.spec")
	checkFields(t, pod, map[string]string{
		"automountServiceAccountToken":                          "false",
		"enableServiceLinks":                                    "false",
		"volumes.0.name":                                        "home",
		"volumes.0.persistentVolumeClaim.claimName":             "hermes-home",
		"containers.0.volumeMounts.0.name":                      "home",
		"containers.0.volumeMounts.0.mountPath":                 "/opt/data",
		"containers.0.startupProbe.exec.command":                upProbe,
		"containers.0.readinessProbe.exec.command":              "[hermes-svstat --check=ready]",
		"containers.0.livenessProbe.exec.command":               upProbe,
		"containers.0.resources.limits.memory":                  "4Gi",
		"containers.0.securityContext.readOnlyRootFilesystem":   "true",
		"containers.0.securityContext.allowPrivilegeEscalation": "false",
		// Kubernetes expands a variable only in those that come after it.
		"containers.0.env.0.name":                         "POD_INDEX",
		"containers.0.env.0.valueFrom.fieldRef.fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']",
	})
	env := map[string]any{}
	for _, e := range at(pod, "containers.0.env").([]any) {
		env[fmt.Sprint(at(e, "name"))] = at(e, "value")
	}
	checkFields(t, env, map[string]string{
		"S6_READ_ONLY_ROOT":            "1",
		"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2",
	})
	checkShards(t, fmt.Sprint(env["HERMES_SHARD"]), "$(POD_INDEX)",
		number(t, at(set, "spec.ordinals.start")), number(t, at(set, "spec.replicas")))
	grace := number(t, at(pod, "terminationGracePeriodSeconds"))
	checkGrace(t, env["S6_KILL_GRACETIME"], time.Duration(grace)*time.Second)
}

// parseYAML returns the documents of text.
func parseYAML(t *testing.T, text string) []any {
	t.Helper()
	cmd := exec.Command("python3", "-c", "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v; run `make deps`", err)
	}
	var documents []any
	must.Do(t, json.Unmarshal(out, &documents))
	return documents
}

// at returns the value at path in v, which is keys and indexes separated by dots, or nil if
// there is none.
func at(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// checkFields checks that v has the values of want at its paths.
func checkFields(t *testing.T, v any, want map[string]string) {
	t.Helper()
	for path, w := range want {
		if got := fmt.Sprint(at(v, path)); got != w {
			t.Errorf("%s is %s, want %s", path, got, w)
		}
	}
}

func number(t *testing.T, v any) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		t.Error(err)
	}
	return n
}

// checkShards checks that hermes-reconcile accepts shard for each of the replicas, and that
// together they have every profile exactly once. place in shard stands for a replica's number,
// which counts from first.
func checkShards(t *testing.T, shard, place string, first, replicas int) {
	t.Helper()
	var selections []reconcile.Selection
	for i := range replicas {
		s, err := reconcile.ParseSelection("", strings.ReplaceAll(shard, place, strconv.Itoa(first+i)), false)
		must.Do(t, err)
		selections = append(selections, s)
	}
	for i := range 100 {
		name, had := fmt.Sprint("p", i), 0
		for _, s := range selections {
			if s.Has(name) {
				had++
			}
		}
		if had != 1 {
			t.Fatalf("%s is in the shards of %d of %d replicas, by %s", name, had, replicas, shard)
		}
	}
}

// checkGrace checks that s6-overlay, which waits kill ms for gateways and a moment for its own
// services, is done before its container is killed.
func checkGrace(t *testing.T, kill any, grace time.Duration) {
	t.Helper()
	if wait := time.Duration(number(t, kill)) * time.Millisecond; grace < wait+10*time.Second {
		t.Errorf("s6-overlay waits %v, its container is killed after %v", wait, grace)
	}
}

var substitution = regexp.MustCompile(`\$\{(\w+):-([^}]*)\}`)

// interpolate puts variables, or their defaults, into text as docker stack does.
func interpolate(text string, variables map[string]string) string {
	return substitution.ReplaceAllStringFunc(text, func(v string) string {
		m := substitution.FindStringSubmatch(v)
		if value := variables[m[1]]; value != "" {
			return value
		}
		return m[2]
	})
}
