package proc

import (
	"unicode/utf8"

	"golang.org/x/sys/windows"
)

// oemPage stands for the system's own code page, for consoles.
const oemPage = 1

// text returns what a program has printed in UTF-8: Windows' own tools print in the code
// page of their console, which they have from us, or in the system's where there is none.
func text(said []byte) string {
	if utf8.Valid(said) {
		return string(said)
	}
	page, err := windows.GetConsoleOutputCP()
	if err != nil || page == 0 {
		page = oemPage
	}
	wide := make([]uint16, len(said)) // no page has characters of less than a byte
	n, err := windows.MultiByteToWideChar(page, 0, &said[0], int32(len(said)), &wide[0], int32(len(wide)))
	if err != nil {
		return string(said)
	}
	return windows.UTF16ToString(wide[:n])
}
