package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/skein-im/skein/client"
)

// chatState is what the chat keeps between starts.
type chatState struct {
	path string
	// Token is the device's; whoever has it is the user.
	Token string `json:"token"`
	// Cursor is the last entry that was shown.
	Cursor uint64 `json:"cursor"`
	// Generation is that of the timeline that it is an entry of.
	Generation *uint64 `json:"generation,omitempty"`
	// Names are those of users that were looked up.
	Names map[client.UserID]string `json:"names,omitempty"`
}

// defaultStatePath is one file per user and server.
func defaultStatePath(base, user string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no configuration directory; use --state: %w", err)
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("--http: %w", err)
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '@', r == '_':
			return r
		}
		return '_'
	}, strings.ToLower(user)+"@"+u.Host)
	return filepath.Join(dir, "skein", "chat-"+name+".json"), nil
}

// loadChatState reads the file, if there is one.
func loadChatState(path string) (*chatState, error) {
	st := &chatState{path: path, Names: map[client.UserID]string{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("%s is damaged; remove it to log in again: %w", path, err)
	}
	if st.Names == nil {
		st.Names = map[client.UserID]string{}
	}
	return st, nil
}

// save replaces the file as a whole. Only its owner may read it.
func (st *chatState) save() error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	dir := filepath.Dir(st.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(dir, filepath.Base(st.path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), st.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
