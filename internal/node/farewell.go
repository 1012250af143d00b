package node

import (
	"encoding/json"
	"net"
	"net/http"

	"github.com/skein-im/skein/internal/api"
)

// farewell answers at the address of operations from when everything else there
// has ended until the node has let go of all that it had: its other addresses, its
// slots, its store. So who waits for it to be gone can start the next one.
type farewell struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// newFarewell keeps a second hold of the listener of operations.
func newFarewell(ln net.Listener) (*farewell, error) {
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	again, err := net.FileListener(f)
	return &farewell{listener: again}, err
}

// begin answers that the node stops, to whatever is asked.
func (f *farewell) begin(n *Node) {
	if f == nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/drain", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(DrainStatus{Draining: true})
	})
	f.server, f.done = api.NewHTTPServer(mux, n.log), make(chan struct{})
	f.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(f.done)
		_ = f.server.Serve(f.listener)
	}()
}

// end closes the address.
func (f *farewell) end() error {
	if f == nil {
		return nil
	}
	if f.server == nil {
		return f.listener.Close()
	}
	defer func() { <-f.done }()
	return f.server.Close()
}
