//go:build linux

package gateway

import (
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// Preview returns what Register would write, by path, and touches nothing.
func (m *Manager) Preview(name string, asked Registration) ([]script.File, error) {
	r := &registration{Manager: m, Registration: asked, name: name}
	there, err := m.ScanDir.Exists(name)
	switch {
	case err != nil, there && r.Keep:
		return nil, err
	case there && !r.Replace:
		return nil, slot.ErrExists(name)
	}
	d, err := r.claim()
	if err != nil {
		return nil, err
	}
	files := script.Render(d)
	for i := range files {
		files[i].Name = m.ScanDir.Service(name).Path() + "/" + files[i].Name
	}
	path, data, err := m.Home.Preview(name, r.Settings)
	if err == nil && path != "" {
		files = append(files, script.File{Name: path, Mode: 0o600, Data: string(data)})
	}
	return files, err
}
