package bench

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Transports a run can use.
const (
	TCP  = "tcp"
	WS   = "ws"
	HTTP = "http"
)

// ChatConfig is what Chat is asked to do.
type ChatConfig struct {
	Users   int    `json:"users"`
	Friends int    `json:"friends"`
	Seed    uint64 `json:"seed"`
	// Messages is how many each user sends to each friend, unless Duration
	// ends the run.
	Messages int `json:"messages"`
	// Duration, when set, makes users go on sending for so long.
	Duration time.Duration `json:"duration_ns,omitempty"`
	// Enough, when closed, ends a run with a Duration earlier: nothing more is
	// sent, and what was sent has to arrive.
	Enough <-chan struct{} `json:"-"`
	// Body is the size of each message, at least MinBody.
	Body int `json:"body"`
	// Window is how many sends of a user may be unanswered; over HTTP it
	// is one.
	Window int `json:"window"`
	// Rate, when set, makes messages due at a rate per second, whatever the
	// server does.
	Rate float64 `json:"rate,omitempty"`
	// Devices is how many devices each user has; the first one sends.
	Devices   int    `json:"devices"`
	Transport string `json:"transport"`

	// Link and HTTP are the URLs of a server that runs already. Both
	// empty: a server of its own.
	Link string `json:"link,omitempty"`
	HTTP string `json:"http,omitempty"`
	// Routers are URLs of routers that devices on links ask where to connect; Link
	// counts while none answers.
	Routers []string `json:"routers,omitempty"`
	// OperatorToken lets users be provisioned; without it they register.
	OperatorToken string `json:"-"`
	// ServerPID names the process whose CPU time and memory are reported.
	ServerPID int `json:"-"`
	// Probe reads what is counted on the servers' side, before the first message
	// and after the last; nil: nothing but that process.
	Probe func() Probe `json:"-"`
	// Program is the binary of the own server, Data its directory; empty: a
	// temporary one. ServerArgs are passed on to it.
	Program    string   `json:"-"`
	Data       string   `json:"-"`
	ServerArgs []string `json:"server_args,omitempty"`

	// Stall is how long nothing may arrive before the run is given up.
	Stall time.Duration `json:"-"`
	// Progress gets a line that changes, and words on what happens; nil:
	// nobody does.
	Progress io.Writer `json:"-"`
	// Version is that of the program.
	Version string `json:"-"`
}

// DefaultChatConfig is the experiment of the article: 150,000 messages, give
// or take what the data set makes of 30 friends on average.
func DefaultChatConfig() ChatConfig {
	return ChatConfig{
		Users: 1000, Friends: 30, Seed: 1, Messages: 5, Body: 256, Window: 16, Devices: 1,
		Transport: TCP, Stall: time.Minute,
	}
}

// Validate reports the first setting that cannot work, and completes those
// that follow from others.
func (c *ChatConfig) Validate() error {
	switch {
	case c.Messages < 1 || c.Messages > 1<<20:
		return fmt.Errorf("messages: between 1 and %d to each friend", 1<<20)
	case c.Body < MinBody || c.Body > im.MaxBody:
		return fmt.Errorf("body: between %d and %d bytes", MinBody, im.MaxBody)
	case c.Window < 1 || c.Window > im.SendWindow:
		return fmt.Errorf("window: between 1 and %d", im.SendWindow)
	case c.Devices < 1 || c.Devices > im.MaxDevices:
		return fmt.Errorf("devices: between 1 and %d", im.MaxDevices)
	case c.Rate < 0 || c.Duration < 0 || c.Stall <= 0:
		return fmt.Errorf("rate and duration are not negative, and stall is positive")
	case c.Transport != TCP && c.Transport != WS && c.Transport != HTTP:
		return fmt.Errorf("transport: one of tcp, ws, http")
	}
	if c.Link == "" && c.HTTP == "" {
		if len(c.Routers) > 0 {
			return fmt.Errorf("with routers, the addresses of a gateway are needed too")
		}
		return nil
	}
	return c.completeTarget()
}

// completeTarget finds the HTTP address from the link's and the other way
// round where one server port has both.
func (c *ChatConfig) completeTarget() error {
	if c.HTTP == "" {
		u, err := url.Parse(c.Link)
		if err != nil || u.Scheme != "ws" && u.Scheme != "wss" {
			return fmt.Errorf("the server's HTTP address is needed too")
		}
		c.HTTP = "http" + strings.TrimPrefix(u.Scheme, "ws") + "://" + u.Host
	}
	if c.Link == "" && c.Transport == WS {
		u, err := url.Parse(c.HTTP)
		if err != nil {
			return fmt.Errorf("the server's HTTP address: %w", err)
		}
		c.Link = "ws" + strings.TrimPrefix(u.Scheme, "http") + "://" + u.Host + linkPath
	}
	if c.Link == "" && c.Transport == TCP {
		return fmt.Errorf("the server's link address is needed too (--addr); routers, if there are any, are asked first")
	}
	return nil
}

// linkPath is where the HTTP address takes WebSockets.
const linkPath = "/link"
