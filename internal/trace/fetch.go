package trace

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// maxReport is the most bytes that are read of a report: somewhat more than
// MaxSlow traces of every worker of a large node have.
const maxReport = 64 << 20

// Source is the ops listener of a process.
type Source struct {
	// Base is its URL, Token the operator's, which is sent to other machines
	// only: on this one it is not needed.
	Base, Token string
	HTTP        *http.Client
}

// Trace asks for what is known there of one trace.
func (s *Source) Trace(ctx context.Context, id im.TraceID) (Report, error) {
	return s.get(ctx, "/traces?id="+url.QueryEscape(id.String()))
}

// Slow asks for the slowest traces there, at most limit.
func (s *Source) Slow(ctx context.Context, limit int) (Report, error) {
	return s.get(ctx, "/traces/slow?limit="+strconv.Itoa(limit))
}

func (s *Source) get(ctx context.Context, path string) (Report, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Base+path, nil)
	if err != nil {
		return Report{}, im.Errorf(im.Invalid, "cannot ask %s for traces: %w", s.Base, err)
	}
	if s.Token != "" && !local(req.URL.Hostname()) {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return Report{}, im.Errorf(im.Unavailable, "cannot ask for traces: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
		return Report{}, im.Errorf(im.Unavailable, "%s does not tell traces: %s: %s", s.Base, resp.Status, strings.TrimSpace(string(text)))
	}
	return ReadReport(resp.Body)
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ReadReport reads a report that another process has written.
func ReadReport(r io.Reader) (Report, error) {
	limited := &io.LimitedReader{R: r, N: maxReport}
	var report Report
	if err := json.NewDecoder(limited).Decode(&report); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("over %d bytes", maxReport)
		}
		return Report{}, im.Errorf(im.Invalid, "not a report of traces: %w", err)
	}
	return report, nil
}
