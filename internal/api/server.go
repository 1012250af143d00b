package api

import (
	"log/slog"
	"net/http"
	"time"
)

// What an HTTP server bears from a connection.
const (
	// headerTimeout is for a request's header, from its first byte on.
	headerTimeout = 5 * time.Second
	// idleTimeout is between requests.
	idleTimeout = 2 * time.Minute
	// writeTimeout is from a request's header to the end of its response.
	// It is longer than the longest body and the longest poll together.
	writeTimeout = 150 * time.Second
	// maxHeader allows an unescaped message of im.MaxBody in a URL, which
	// the article's API has.
	maxHeader = 80 << 10
)

// NewHTTPServer makes a server for clients nobody trusts: slow headers, slow
// readers and large headers are cut off. Handlers that need more time for a
// response move the deadline with http.ResponseController.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeader,
		// What the server says is about single connections, and panics.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
