package profile

import (
	"errors"
	"fmt"
	"io/fs"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// configFile is the configuration of a home or a profile, which people write.
const configFile = "config.yaml"

// maxConfig is more than people write; what is larger is not read at all.
const maxConfig = 1 << 20

// Multiplex tells whether the home's configuration has one gateway serve all
// profiles: whether multiplex_profiles is true at its top, as Hermes once had it, or
// under gateway, where it writes it now. Where both are there and differ, true wins: to
// start nothing twice is the smaller harm. false where there is no configuration; an
// error means that it cannot be decided.
func (h *Home) Multiplex() (bool, error) {
	is, err := readConfig(h.dir, "multiplex_profiles", "gateway.multiplex_profiles")
	return is["multiplex_profiles"] || is["gateway.multiplex_profiles"], err
}

// parkedFile does what gateway.parked does in the configuration of its profile.
const parkedFile = "gateway.parked"

// placed tells of d, the directory of a profile, whether its gateway runs beside one
// that serves all (gateway.standalone in its configuration), and whether it does not
// run at all (gateway.parked there, or a file of that name, by which Hermes parks it).
// Where that cannot be decided it is neither.
func placed(d *dir.Dir) (standalone, parked bool, err error) {
	is, err := readConfig(d, "gateway.standalone", "gateway.parked")
	if err != nil {
		err = fmt.Errorf("%w; taken as neither standalone nor parked", err)
	}
	marked, e := d.Exists(parkedFile)
	return is["gateway.standalone"], is["gateway.parked"] || marked, errors.Join(err, e)
}

// readConfig tells which of keys are true in d's configuration.
func readConfig(d *dir.Dir, keys ...string) (map[string]bool, error) {
	// People write it, so the account can: no link to a file of root's, whose
	// content a message could show; no FIFO, at which a boot would hang.
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
