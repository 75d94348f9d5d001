// Command attack does for the attack suite what a shell is too slow for, or cannot
// do. It runs as the account, in a container.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	args := os.Args[2:]
	switch os.Args[1] {
	case "swap": // SECONDS A B: exchanges the two names all the time
		end := time.Now().Add(seconds(args[0]))
		n := 0
		for time.Now().Before(end) {
			if unix.Renameat2(unix.AT_FDCWD, args[1], unix.AT_FDCWD, args[2], unix.RENAME_EXCHANGE) == nil {
				n++
			}
		}
		fmt.Println(n)
	case "hold": // SECONDS SOCKET N: N connections that say nothing
		for range number(args[2]) {
			if c, err := net.Dial("unix", args[1]); err == nil {
				defer c.Close()
			}
		}
		time.Sleep(seconds(args[0]))
	case "garbage": // SOCKET N: N connections that say anything
		for i := range number(args[1]) {
			if c, err := net.Dial("unix", args[0]); err == nil {
				data := make([]byte, i*i)
				_, _ = rand.Read(data)
				_, _ = c.Write(data)
				c.Close()
			}
		}
	case "raw": // SOCKET ARGC TEXT...: what s6-sudoc sends, with TEXT for arguments and NULs between them
		var text []byte
		for _, a := range args[2:] {
			text = append(append(text, a...), 0)
		}
		os.Exit(raw(args[0], number(args[1]), text))
	}
}

func seconds(s string) time.Duration { return time.Duration(number(s)) * time.Second }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// raw speaks s6-sudo's protocol (s6-sudoc.c, unixmessage_sender_flush.c) and
// returns the exit code of what was run, 111 where nothing was.
func raw(socket string, argc int, text []byte) int {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 111
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	banner := make([]byte, len("s6-sudo b v1.0\n"))
	if _, err := c.Read(banner); err != nil {
		return 111
	}
	body := []byte("s6-sudo a v1.0\n")
	for _, n := range []int{argc, 0, len(text), 0} {
		body = binary.BigEndian.AppendUint32(body, uint32(n))
	}
	body = append(body, text...)
	head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, uint32(len(body))), 3)
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix(append(head, body...), unix.UnixRights(0, 1, 2), nil); err != nil {
		return 111
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(c); err != nil || answer.Len() < 5 {
		return 111
	}
	return int(answer.Bytes()[3])
}
