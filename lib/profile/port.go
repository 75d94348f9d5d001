package profile

import "encoding/binary"

// Derived ports are in the range [firstPort, firstPort+ports).
const (
	firstPort = 9200
	ports     = 600
)

// DerivePort returns the port that profile name gets if it is free: firstPort plus the first 8
// hexadecimal digits of SHA-256(name), modulo ports.
func DerivePort(name string) int {
	sum := Digest(name)
	return firstPort + int(binary.BigEndian.Uint32(sum[:4])%ports)
}

// Ports records which profile has which port.
type Ports struct {
	taken map[int]string
	// derived is the inverse of taken for derivable ports. When it holds all of them, no
	// search for a free one is needed.
	derived map[string]int
	read    []interface{ save() }
}

// NewPorts returns Ports of which none is taken.
func NewPorts() *Ports { return &Ports{taken: map[int]string{}, derived: map[string]int{}} }

// Of returns the profile that has port, or "" if the port is free.
func (p *Ports) Of(port int) string { return p.taken[port] }

// take gives port to name, unless another profile has it.
func (p *Ports) take(port int, name string) {
	if p.taken[port] != "" {
		return
	}
	p.taken[port] = name
	if derivable(port) {
		p.derived[name] = port
	}
}

// derivable reports whether port can go to a profile that asks for none.
func derivable(port int) bool { return port >= firstPort && port < firstPort+ports }

// Claim gives the settings of profile name a port if they ask for none. It tries the recorded
// port, unless another profile has it (a copied profile records its original's), then the
// derived one, then the next free one, in a circle. It returns the port in force, which is
// taken for name from then on. If the whole range is taken, profiles share: a gateway on a
// taken port is better than none.
func (p *Ports) Claim(name string, s *Settings) int {
	free := func(port int) bool {
		by := p.taken[port]
		return by == "" || by == name
	}
	if s.Port == 0 && !(derivable(s.DerivedPort) && free(s.DerivedPort)) {
		s.DerivedPort = DerivePort(name)
		if own, ok := p.derived[name]; ok {
			s.DerivedPort = own
		}
		for i := 0; len(p.derived) < ports && i < ports && !free(s.DerivedPort); i++ {
			s.DerivedPort = firstPort + (s.DerivedPort-firstPort+1)%ports
		}
	}
	port := s.InForce()
	p.take(port, name)
	return port
}
