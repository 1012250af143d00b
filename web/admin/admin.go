// Package admin holds the monitor's dashboard as files: its sources in
// TypeScript, and in dist what scripts/web.sh has made of them, which is
// embedded in the program.
//
// It serves those files, and nothing else: they hold no data, so everybody may
// have them, and what they show they ask /monitor/ for, with the operator's
// token where one is needed. The Content-Security-Policy lets a page load and ask
// nothing but this server, and be shown in no other page's frame. It persists
// nothing. dist/stamp names the sources that it was made of; a test holds the two
// against each other, so that neither is committed without the other.
package admin

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed dist
var files embed.FS

// Policy is the pages' Content-Security-Policy.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the dashboard under a path that it does not see.
func Handler() http.Handler {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic("admin: " + err.Error())
	}
	serve := http.FileServerFS(dist)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	})
}
