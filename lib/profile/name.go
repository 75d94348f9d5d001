// Package profile knows profiles: their names, where they live in a home, the port each one
// gets, and what is recorded about them. It accesses the home only through descriptors and
// follows no link inside it. What is made of a record, and in which directory, is the business
// of package slot.
package profile

import (
	"strconv"
	"strings"

	"hermes-s6/lib/fail"
)

// Default is the name of the root profile, which lives in the home itself.
const Default = "default"

// maxSlot is s6-svscan's limit on a service's name, in bytes (namemax in s6-svscan.c; Linux
// would allow 255). maxName is what remains of it after a slot's prefix.
const (
	maxSlot = 251
	maxName = maxSlot - len(SlotPrefix)
)

// SlotPrefix followed by a profile's name is the name of its service directory.
const SlotPrefix = "gateway-"

// Slot returns the name of the service directory of profile name.
func Slot(name string) string { return SlotPrefix + name }

// FromSlot returns the profile whose service directory is called slot.
func FromSlot(slot string) (name string, ok bool) {
	name, ok = strings.CutPrefix(slot, SlotPrefix)
	return name, ok && CheckName(name) == nil
}

// CheckName returns why name cannot be a profile's name, or nil. It is a security boundary: a
// name that passes is a single, harmless path component and a harmless word in sh and execline.
func CheckName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "empty"
	case len(name) > maxName:
		why = "longer than 243 bytes, and its slot's name longer than s6-svscan takes"
	case name[0] == '-' || name[0] == '_':
		why = "must begin with a-z or 0-9"
	case !only(name, nameByte):
		why = "must be of a-z, 0-9, '_' and '-'"
	default:
		return nil
	}
	return fail.Errorf(fail.Usage, "invalid profile name %s: %s", clip(name), why)
}

// CheckKey returns why key cannot name an environment variable, or nil. A key that passes
// needs no quoting in sh.
func CheckKey(key string) error {
	if key == "" || key[0] >= '0' && key[0] <= '9' || !only(key, keyByte) {
		return fail.Errorf(fail.Usage, "invalid environment key %s: must match [A-Za-z_][A-Za-z0-9_]*", clip(key))
	}
	switch key {
	case "OPTIND", "PPID", "UID", "EUID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO":
		// dash or bash exits when asked to set one of these.
		return fail.Errorf(fail.Usage, "invalid environment key %s: reserved by the shell", key)
	}
	return nil
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func keyByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// clip quotes s, shortened, for a one-line message that stays readable.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
