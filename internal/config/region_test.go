package config

import (
	"strings"
	"testing"
)

// Who leads to other regions follows from the settings.
func TestRelaysElsewhere(t *testing.T) {
	certs := map[string]string{"relay_cert": "c", "relay_key": "k", "relay_ca": "a"}
	for _, tc := range []struct {
		settings map[string]string
		certs    bool
		want     bool
		wrong    string
	}{
		{settings: map[string]string{}},
		{settings: map[string]string{"region": "east"}, certs: true},
		{settings: map[string]string{"region": "east"}, wrong: "relay_cert"},
		{settings: map[string]string{"region": "east", "directory": "east", "store": "redis"}, want: true},
		{settings: map[string]string{"region": "east", "directory": "west", "store": "redis"}, want: true},
		{settings: map[string]string{"region": "east", "store": "redis"}, want: true, wrong: "directory"},
		// With a certificate: for a standby.
		{settings: map[string]string{"region": "east", "store": "redis"}, certs: true},
		{settings: map[string]string{"region": "east", "directory": "west", "store": "redis"}, certs: true, want: true},
		{settings: map[string]string{"region": "east", "directory": "east", "store": "redis", "regions": "west=a:1"}, certs: true},
		{settings: map[string]string{"region": "east", "directory": "east", "store": "redis", "regions": "west=a:1"}, wrong: "relay_cert"},
	} {
		if tc.certs {
			for k, v := range certs {
				tc.settings[k] = v
			}
		}
		c, err := Load("", tc.settings)
		if tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong+":") && !strings.Contains(err.Error(), tc.wrong+",")) {
			t.Errorf("%v: %v", tc.settings, err)
		}
		if c.RelaysElsewhere() != tc.want {
			t.Errorf("%v: relays are elsewhere: %v", tc.settings, c.RelaysElsewhere())
		}
	}
}
