//go:build windows

// Command schtasks stands in for Windows' program of that name in what wine's cannot do:
// run, end and show tasks. Wine's makes them, and has to know what is run.
//
// Beside itself it keeps
//
//	NAME.task  of each task made through it, the last result
//	calls      a line for each call
//	denied     where that is there, the exit code of all that is about one task
//
// What it has to say of a failure is in the file says, in UTF-8. It prints that, as Windows'
// own tools print, in the code page of its console, or of the system where it has none.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Last results.
const (
	running = "267009"
	waiting = "267011" // has never run
	ended   = "267014"
)

// oemPage is the code page of the system's consoles, whichever that is.
const oemPage = 1

var wines = filepath.Join(os.Getenv("SystemRoot"), "system32", "schtasks.exe")

func main() {
	self, err := os.Executable()
	check(err)
	beside := func(name string) string { return filepath.Join(filepath.Dir(self), name) }
	args := os.Args[1:]
	calls, err := os.OpenFile(beside("calls"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	check(err)
	_, err = fmt.Fprintln(calls, strings.Join(args, " "))
	check(err)
	says, _ := os.ReadFile(beside("says"))
	name := ""
	for i, a := range args[:len(args)-1] {
		if strings.EqualFold(a, "/TN") {
			name = args[i+1]
		}
	}
	file := beside(name + ".task")
	if strings.EqualFold(args[0], "/Create") {
		run(args...)
		check(os.WriteFile(file, []byte(waiting), 0o644))
		return
	}
	if name == "" {
		list(beside("*.task"))
		return
	}
	if code, err := os.ReadFile(beside("denied")); err == nil {
		n, err := strconv.ParseUint(string(code), 0, 32)
		check(err)
		fail(string(says), int(n))
	}
	result, err := os.ReadFile(file)
	if err != nil {
		fail(string(says), 1)
	}
	switch args[0] {
	case "/Run":
		run("/change", "/tn", name, "/enable")
		check(os.WriteFile(file, []byte(running), 0o644))
	case "/End":
		if string(result) != running {
			fail(string(says), 1)
		}
		check(os.WriteFile(file, []byte(ended), 0o644))
	case "/Query":
		fmt.Printf("\"HOST\",\"\\%s\",\"N/A\",\"?\",\"Interactive only\",\"N/A\",\"%s\",\"me\",\"cmd\"\r\n", name, result)
	default:
		fail("what is "+args[0]+"?", 100)
	}
}

// run has wine's do it.
func run(args ...string) {
	cmd := exec.Command(wines, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Run())
}

func list(pattern string) {
	files, err := filepath.Glob(pattern)
	check(err)
	for _, f := range files {
		fmt.Printf("\"\\%s\",\"N/A\",\"?\"\r\n", strings.TrimSuffix(filepath.Base(f), ".task"))
	}
}

// fail says text in the code page that its reader has to expect.
func fail(text string, code int) {
	page, err := windows.GetConsoleOutputCP()
	if err != nil || page == 0 {
		page = oemPage
	}
	wide := windows.StringToUTF16(text)
	out := make([]byte, 4*len(wide))
	n, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc("WideCharToMultiByte").Call(uintptr(page), 0,
		uintptr(unsafe.Pointer(&wide[0])), uintptr(len(wide)-1), uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), 0, 0)
	if n == 0 && text != "" {
		check(err)
	}
	_, _ = os.Stderr.Write(append(out[:n], "\r\n"...))
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "schtasks of the test:", err)
		os.Exit(99)
	}
}
