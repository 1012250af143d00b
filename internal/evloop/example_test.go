//go:build linux

package evloop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

func ExampleEngine() {
	engine, err := New(Config{Handler: upper{}, Loops: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	addr, err := engine.Listen(context.Background(), "127.0.0.1:0", Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(nc, "wild geese")
	answer, _ := bufio.NewReader(nc).ReadString('\n')
	fmt.Print(answer)
	nc.Close()
	fmt.Println(engine.Shutdown(context.Background()))
	// Output:
	// WILD GEESE
	// <nil>
}

// upper answers lines in capitals.
type upper struct{}

func (upper) Open(c *Conn) { c.SetIdle(time.Minute) }

func (upper) Data(c *Conn, b []byte) int {
	whole := strings.LastIndexByte(string(b), '\n') + 1
	if err := c.Write([]byte(strings.ToUpper(string(b[:whole])))); err != nil {
		c.Close(err)
	}
	return whole
}

func (upper) Timeout(c *Conn) { c.CloseGently(errors.New("idle"), time.Second) }

func (upper) Drained(*Conn) {}

func (upper) Closed(*Conn, error) {}

func (upper) Failed(*Conn, error) {}
