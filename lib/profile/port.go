package profile

import "encoding/binary"

// The range that derived ports come from: [firstPort, firstPort+ports).
const (
	firstPort = 9200
	ports     = 600
)

// DerivePort returns the port that profile name gets if it is free: firstPort
// plus the first 8 hexadecimal digits of SHA-256(name), modulo ports.
func DerivePort(name string) int {
	sum := Digest(name)
	return firstPort + int(binary.BigEndian.Uint32(sum[:4])%ports)
}

// Ports says which profile has which port.
type Ports struct {
	taken map[int]string
	// derived is the same the other way around, for derivable ports: when
	// it has all of them there is none to look for.
	derived map[string]int
	read    []interface{ save() }
}

// NewPorts returns Ports of which none is taken.
func NewPorts() *Ports { return &Ports{taken: map[int]string{}, derived: map[string]int{}} }

// Of returns the profile that has port, "" where it is free.
func (p *Ports) Of(port int) string { return p.taken[port] }

// take gives port to name, unless another has it.
func (p *Ports) take(port int, name string) {
	if p.taken[port] != "" {
		return
	}
	p.taken[port] = name
	if derivable(port) {
		p.derived[name] = port
	}
}

// derivable tells whether a profile that asks for no port can have port.
func derivable(port int) bool { return port >= firstPort && port < firstPort+ports }

// Claim gives settings of profile name a port where they ask for none: the one
// recorded, unless another has that (a copied profile has its original's), else
// the derived one, else the next that is free, in a circle. It returns the port
// in force, which is taken for name from then on. When all of the range is
// taken, profiles share: a gateway on a taken port is better than none.
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
