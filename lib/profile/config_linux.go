package profile

import (
	"errors"
	"fmt"
	"io/fs"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// configFile is the configuration of a home or a profile. People edit it by hand.
const configFile = "config.yaml"

// maxConfig is more than anyone writes by hand. A larger file is not read at all.
const maxConfig = 1 << 20

// Multiplex reports whether the home's configuration has one gateway serve all profiles. The
// key is multiplex_profiles, at the top level (as older versions of Hermes wrote it) or under
// gateway (as Hermes writes it now). If both exist and differ, true wins: starting too little
// does less harm than starting a gateway twice. Without a configuration it is false. An error
// means that it cannot be decided.
func (h *Home) Multiplex() (bool, error) {
	is, err := readConfig(h.dir, "multiplex_profiles", "gateway.multiplex_profiles")
	return is["multiplex_profiles"] || is["gateway.multiplex_profiles"], err
}

// parkedFile has the same effect as gateway.parked in the configuration of its profile.
const parkedFile = "gateway.parked"

// placed reports on the profile whose directory is d. standalone: its gateway runs beside one
// that serves all profiles (gateway.standalone in its configuration). parked: it does not run
// at all (gateway.parked in its configuration, or a file of that name, which is how Hermes
// parks it). Both are false if they cannot be decided.
func placed(d *dir.Dir) (standalone, parked bool, err error) {
	is, err := readConfig(d, "gateway.standalone", "gateway.parked")
	if err != nil {
		err = fmt.Errorf("%w; taken as neither standalone nor parked", err)
	}
	marked, e := d.Exists(parkedFile)
	return is["gateway.standalone"], is["gateway.parked"] || marked, errors.Join(err, e)
}

// readConfig reports which of keys are true in d's configuration.
func readConfig(d *dir.Dir, keys ...string) (map[string]bool, error) {
	// The account can write this file. A link could lead to one of root's files, whose content
	// a message would show; a boot would hang at a FIFO.
	text, err := d.Read(configFile, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	is, err := yamlBools(text, keys...)
	if err != nil {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(configFile), err)
	}
	return is, err
}
