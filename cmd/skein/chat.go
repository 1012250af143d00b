package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/skein-im/skein/client"
)

// chatFlags are what the command line says.
type chatFlags struct {
	addr, http, router, user, passwordFile, stateFile string
	register                                          bool
}

func newChatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Chat in the terminal",
		Long: `Logs in and chats. Lines are sent to whom /to names; lines that begin with / are
commands, which /help lists. The login and the place in the timeline are kept in
a file that only you can read, so that the next start needs no password and
shows what has come meanwhile.

Without a terminal, lines are read from standard input until it ends.`,
		Example: `  skein chat --user alice --register
  skein chat --user alice --router http://10.0.0.7:7005,http://10.0.0.8:7005
  skein chat --user alice --addr tcp://chat.example.com:7001 --http https://chat.example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			f.http = base(f.http)
			return talk(ctx, f, cmd.InOrStdin(), cmd.OutOrStdout(), wordsFor(os.Getenv))
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", "tcp://127.0.0.1:7001", "link address: tcp://, tls://, ws:// or wss://")
	fl.StringVar(&f.http, "http", "http://127.0.0.1:7080", "base URL of the HTTP API")
	fl.StringVar(&f.router, "router", "", "URLs of routers, comma-separated, which say where to connect, instead of --addr and --http")
	fl.StringVar(&f.user, "user", "", "your name")
	fl.StringVar(&f.passwordFile, "password-file", "", "file with the password; without it a terminal asks")
	fl.BoolVar(&f.register, "register", false, "register the name first")
	fl.StringVar(&f.stateFile, "state", "", "file that keeps the login; empty: one per user and server in the configuration directory")
	_ = cmd.MarkFlagRequired("user")
	return cmd
}

// talk runs one chat, from login to the end of the input.
func talk(ctx context.Context, f chatFlags, in io.Reader, out io.Writer, w *words) (err error) {
	path := f.stateFile
	if path == "" {
		if path, err = defaultStatePath(f.server(), f.user); err != nil {
			return err
		}
	}
	if err := f.find(ctx); err != nil {
		return err
	}
	st, err := loadChatState(path)
	if err != nil {
		return err
	}
	if st.Token == "" || f.register {
		if err := st.login(ctx, f, in, out, w); err != nil {
			return err
		}
	}
	s, err := newScreen(in, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	t := newTalker(s, w, st)
	return t.run(ctx, f)
}

// server is the URL that tells this server from others: gateways come and go.
func (f *chatFlags) server() string {
	first, _, _ := strings.Cut(f.router, ",")
	return cmp.Or(first, f.http)
}

// find asks routers where to connect, if there are any. Whoever speaks TLS to
// routers does so to gateways.
func (f *chatFlags) find(ctx context.Context) error {
	if f.router == "" {
		return nil
	}
	routers, err := client.NewRouters(strings.Split(f.router, ","), nil)
	if err != nil {
		return err
	}
	gateways, err := routers.Gateways(ctx, 0, 1)
	if err != nil {
		return err
	}
	f.addr, f.http = "tcp://"+gateways[0].Link, "http://"+gateways[0].HTTP
	if strings.HasPrefix(f.router, "https:") {
		f.addr, f.http = "tls://"+gateways[0].Link, "https://"+gateways[0].HTTP
	}
	return nil
}

const loginTimeout = 30 * time.Second

// login gets a token for a password, and begins at the end of the timeline:
// what was before is a matter of /history.
func (st *chatState) login(ctx context.Context, f chatFlags, in io.Reader, out io.Writer, w *words) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	question := w.password
	if f.register {
		question = w.newPassword
	}
	password, err := readPassword(f.passwordFile, in, out, question, w)
	if err != nil {
		return err
	}
	api := client.NewAPI(f.http, "", nil)
	device := "skein chat"
	if host, err := os.Hostname(); err == nil && len(host) < 40 {
		device += " on " + host
	}
	if f.register {
		r, err := api.Register(ctx, f.user, password, device)
		if err != nil {
			return &loginError{fmt.Sprintf(w.cannotRegister, w.why(err)), err}
		}
		st.Token = r.GetToken()
	} else {
		r, err := api.Login(ctx, f.user, password, device)
		if there, ok := followed(f.http, err); ok {
			api = client.NewAPI(there, "", nil)
			r, err = api.Login(ctx, f.user, password, device)
		}
		if err != nil {
			return &loginError{fmt.Sprintf(w.cannotLogIn, w.why(err)), err}
		}
		st.Token = r.GetToken()
	}
	counters, err := api.WithToken(st.Token).Counters(ctx)
	if err != nil {
		return err
	}
	st.Cursor = counters.GetHead()
	return st.save()
}

// followed is where to ask again when the user lives in another region. Whoever
// was told to speak TLS does not stop doing so because a server says so.
func followed(base string, err error) (there string, ok bool) {
	p, ok := client.PlaceOf(err)
	if !ok || len(p.HTTP) == 0 || strings.HasPrefix(base, "https:") && !strings.HasPrefix(p.HTTP[0], "https:") {
		return "", false
	}
	return p.HTTP[0], true
}

// readPassword reads it from a file, or asks without showing it.
func readPassword(file string, in io.Reader, out io.Writer, question string, w *words) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New(w.needPasswordFile)
	}
	fmt.Fprint(out, question)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(out)
	return string(b), err
}

// screen is where lines come from and go to: a terminal, on which what comes
// in does not disturb what is being typed, or plain files.
type screen struct {
	io.Writer
	read  func() (string, error)
	close func() error
	// typed: what is sent can be seen already, because it was typed here.
	typed bool
}

// maxLine is the longest line that is read without a terminal.
const maxLine = client.MaxBody + 1024

func newScreen(in io.Reader, out io.Writer) (*screen, error) {
	f, ok := in.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) && terminal(out) != nil {
		return newTerminal(f, out)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	read := func() (string, error) {
		if lines.Scan() {
			return lines.Text(), nil
		}
		if err := lines.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	return &screen{Writer: out, read: read, close: func() error { return nil }}, nil
}

func newTerminal(in *os.File, out io.Writer) (*screen, error) {
	fd := int(in.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "> ")
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = t.SetSize(width, height)
	}
	return &screen{Writer: t, read: t.ReadLine, close: func() error { return term.Restore(fd, old) }, typed: true}, nil
}
