//go:build linux

package svstat

import (
	"bufio"
	"slices"
	"strconv"
	"strings"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/profile"
)

// Metrics are in the common part of OpenMetrics and Prometheus' older text format, 0.0.4,
// which node exporter reads from files. So all metrics are gauges, even those that OpenMetrics
// would call an info or a state set. UNIT and EOF are comments in the older format. There are
// no counters, because s6 keeps no number that only grows.

// A family is the metrics of one name.
type family struct {
	name, help string
	of         func(*sampler, *State)
}

// families are in the order in which they are printed. A name that ends in seconds has that unit.
var families = []family{
	{"up", "Whether it is up, a stand-by included.", truth(func(s *State) bool { return s.Up })},
	{"supervised", "Whether it has a supervisor.", truth(func(s *State) bool { return s.Supervised })},
	{"wanted_up", "Whether its supervisor is to have it up.", truth(func(s *State) bool { return s.WantedUp })},
	{"normally_up", "Whether it is to be started by itself.", truth(func(s *State) bool { return s.NormallyUp })},
	{"ready", "Whether it is up, and has notified s6 that it is ready.", truth(func(s *State) bool { return s.Ready })},
	{"paused", "Whether it is up, and was paused by s6-svc.", truth(func(s *State) bool { return s.Paused })},
	{"served", "Whether it is down, and the root profile's gateway does its work.", truth(func(s *State) bool { return s.Served })},
	{"standby", "Whether another runs it, and this one waits to take over.", truth(func(s *State) bool { return s.Standby })},
	{"state", "1 for the state that hermes-svstat shows.", func(m *sampler, s *State) { m.set(s, words, s.Word) }},
	{"desired_state", "1 for what was asked for last.", func(m *sampler, s *State) {
		if s.Desired != "" {
			m.set(s, []string{profile.Running, profile.Stopped}, s.Desired)
		}
	}},
	{"pid", "The gateway's process.", func(m *sampler, s *State) { m.number(s, int64(s.PID), s.Up) }},
	{"last_change_timestamp_seconds", "When it was last started, or last died.", func(m *sampler, s *State) {
		m.number(s, s.Since.Unix(), !s.Since.IsZero())
	}},
	{"last_minute_deaths", "How often it has died in the last minute.", func(m *sampler, s *State) { m.number(s, int64(s.Deaths), true) }},
	{"next_start_seconds", "In how long it is started again, where it is backing off.", func(m *sampler, s *State) {
		m.number(s, int64(s.NextStart), s.NextStart > 0)
	}},
	{"last_exit_code", "What it exited with, where it is down since.", func(m *sampler, s *State) { m.number(s, int64(s.ExitCode), s.ExitCode >= 0) }},
	{"last_signal_info", "What signal it died by, where it is down since.", func(m *sampler, s *State) {
		if s.Signal != "" {
			m.sample(s, 1, "signal", s.Signal)
		}
	}},
	{"holder_info", "Who runs a gateway that stands by here.", func(m *sampler, s *State) {
		if s.Holder != nil {
			m.sample(s, 1, "host", s.Holder.Host)
		}
	}},
	{"holder_since_timestamp_seconds", "Since when it runs there.", func(m *sampler, s *State) {
		if s.Holder != nil {
			m.number(s, s.Holder.Since.Unix(), !s.Holder.Since.IsZero())
		}
	}},
	{"reported_state", "1 for the state that the gateway says it is in.", func(m *sampler, s *State) {
		if s.Says != nil && s.Says.State != "" {
			m.set(s, profile.States, s.Says.State)
		}
	}},
	{"active_agents", "How many agents it says are at work.", func(m *sampler, s *State) {
		if s.Says != nil {
			m.number(s, int64(s.Says.ActiveAgents), s.Says.ActiveAgents >= 0)
		}
	}},
	{"platform_info", "The state that it says each platform is in.", func(m *sampler, s *State) {
		if s.Says != nil {
			names := make([]string, 0, len(s.Says.Platforms))
			for p := range s.Says.Platforms {
				names = append(names, p)
			}
			slices.Sort(names)
			for _, p := range names {
				m.sample(s, 1, "platform", p, "state", s.Says.Platforms[p])
			}
		}
	}},
	{"attention", "How many platforms it complains of.", func(m *sampler, s *State) {
		if s.Says != nil {
			m.number(s, int64(len(s.Says.Attention)), true)
		}
	}},
}

// Metrics prints states. Their names must be unique.
func Metrics(out *bufio.Writer, states []State) {
	const build = "hermes_s6_build_info"
	out.WriteString("# TYPE " + build + " gauge\n# HELP " + build + " The version of hermes-s6.\n" +
		build + "{version=\"" + escape(cli.Version) + "\"} 1\n")
	m := sampler{out: out}
	for _, f := range families {
		m.name = "hermes_gateway_" + f.name
		out.WriteString("# TYPE " + m.name + " gauge\n")
		if strings.HasSuffix(m.name, "_seconds") {
			out.WriteString("# UNIT " + m.name + " seconds\n")
		}
		out.WriteString("# HELP " + m.name + " " + f.help + "\n")
		for i := range states {
			f.of(&m, &states[i])
		}
	}
	out.WriteString("# EOF\n")
}

// A sampler prints the metrics of one name.
type sampler struct {
	out  *bufio.Writer
	name string
}

// sample prints one sample of s. labels are additional: each name is followed by its value.
func (m *sampler) sample(s *State, value int64, labels ...string) {
	m.out.WriteString(m.name + `{name="` + escape(s.Name) + `"`)
	for i := 0; i+1 < len(labels); i += 2 {
		m.out.WriteString("," + labels[i] + `="` + escape(labels[i+1]) + `"`)
	}
	m.out.WriteString("} " + strconv.FormatInt(value, 10) + "\n")
}

// number is sample for a value that may be unknown.
func (m *sampler) number(s *State, value int64, known bool) {
	if known {
		m.sample(s, value)
	}
}

// set prints one sample for each of states: 1 for the one that s is in, else 0.
func (m *sampler) set(s *State, states []string, is string) {
	for _, state := range states {
		value := int64(0)
		if state == is {
			value = 1
		}
		m.sample(s, value, "state", state)
	}
}

func truth(of func(*State) bool) func(*sampler, *State) {
	return func(m *sampler, s *State) {
		value := int64(0)
		if of(s) {
			value = 1
		}
		m.sample(s, value)
	}
}

// escape returns text as it may stand between quotes: on one line, in printable characters.
func escape(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(cli.Printable(text), `\`, `\\`), `"`, `\"`)
}
