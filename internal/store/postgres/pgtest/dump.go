package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
)

// commands are lines with which newer dumps begin and end. psql understands them, and
// no server.
var commands = regexp.MustCompile(`(?m)^\\(?:un)?restrict .*\n`)

// Dump is a schema with all that is in it, as statements that any later version of
// the server understands.
func (s *Server) Dump(ctx context.Context, schema string) ([]byte, error) {
	var said, complained bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_dump"), "--schema="+schema, "--no-owner", "--no-privileges",
		"--rows-per-insert=100", "--dbname="+s.URL())
	cmd.Env = []string{"LC_ALL=C", "PGPASSFILE=/dev/null"}
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("pg_dump: %w: %s", err, bytes.TrimSpace(complained.Bytes()))
	}
	return commands.ReplaceAll(said.Bytes(), nil), nil
}

// Load makes what was dumped.
func (s *Server) Load(ctx context.Context, dump []byte) error {
	_, err := s.Query(ctx, string(dump))
	return err
}
