package profile

import (
	"errors"
	"io/fs"

	"github.com/goccy/go-yaml"

	"hermes-s6/lib/fail"
)

// configFile is the home's configuration, which people write.
const configFile = "config.yaml"

// Multiplex tells whether the home's configuration has one gateway serve all
// profiles (multiplex_profiles). false where there is none; an error means one
// that is no use.
func (h *Home) Multiplex() (bool, error) {
	data, err := h.dir.Read(configFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var config struct {
		Multiplex bool `yaml:"multiplex_profiles"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		// The library's own message is a drawing of several lines.
		return false, fail.Errorf(fail.System, "%s: not YAML, or multiplex_profiles is not a boolean", h.dir.Path(configFile))
	}
	return config.Multiplex, nil
}
