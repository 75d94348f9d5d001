//go:build linux

package reconcile

import (
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// A Selection says which profiles belong to this container. The zero value selects all.
type Selection struct {
	patterns []string // globs for package path; nil: every name
	none     bool
	i, n     uint32 // this is the i-th of n, counted from 0; n 0: the only one
}

// ParseSelection parses the values of --profiles and --shard; "" selects all. If containers
// stand by for each other's shards, a container beyond the last shard has none of its own,
// since a swarm that is scaled down need not keep the containers with the lowest numbers.
func ParseSelection(profiles, shard string, standby bool) (Selection, error) {
	var s Selection
	switch profiles {
	case "":
	case "none":
		s.none = true
	default:
		for _, p := range strings.Split(profiles, ",") {
			p = strings.TrimSpace(p)
			translated, err := translate(p)
			if err != nil || p == "" {
				return s, fail.Errorf(fail.Usage, "invalid profile pattern %q in %q", p, profiles)
			}
			s.patterns = append(s.patterns, translated)
		}
	}
	if shard == "" {
		return s, nil
	}
	a, b, ok := strings.Cut(shard, "/")
	i, err1 := strconv.ParseUint(a, 10, 31)
	n, err2 := strconv.ParseUint(b, 10, 31)
	if !ok || err1 != nil || err2 != nil || i < 1 || n < 1 || i > n && !standby {
		return s, fail.Errorf(fail.Usage, "invalid shard %q: must be I/N with I from 1 to N", shard)
	}
	s.i, s.n = uint32(i-1), uint32(n)
	return s, nil
}

// Has reports whether profile name is selected. For any n, each name is in exactly one of the
// n shards, and which one depends on the name alone.
func (s *Selection) Has(name string) bool {
	return s.matches(name) && (s.n == 0 || share(name, s.n) == s.i)
}

// share returns which of n containers profile name belongs to. It uses other digits than those
// from which the port is derived.
func share(name string, n uint32) uint32 {
	sum := profile.Digest(name)
	return binary.BigEndian.Uint32(sum[4:]) % n
}

// matches reports whether profile name is selected, here or in another shard.
func (s *Selection) matches(name string) bool {
	if s.none || s.patterns == nil {
		return !s.none
	}
	for _, p := range s.patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}
