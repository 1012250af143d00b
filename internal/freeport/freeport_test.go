package freeport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asChild makes the test binary a process that takes ports, says which, and keeps
// them until its input ends.
const asChild = "FREEPORT_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	for range many {
		addr, err := Take()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(addr)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// many are so many of all ports that processes that do not know of each other
// would choose some of them twice.
const many = 2000

// No port is given out twice, whichever process asks, and a server can have it.
func TestTake(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), asChild+"=1"), os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range many {
		addr, err := Take()
		if err != nil || seen[addr] {
			t.Fatalf("%s is given out again, or %v", addr, err)
		}
		seen[addr] = true
	}
	lines := bufio.NewReader(out)
	for range many {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if addr := strings.TrimSpace(line); seen[addr] {
			t.Errorf("another process has %s too", addr)
		}
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	for addr := range seen {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		break
	}
}
