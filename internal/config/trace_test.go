package config

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestTraceSettings(t *testing.T) {
	c, err := Load("", map[string]string{
		"trace_percent": "0.5", "trace_users": "17, 4294967297", "trace_export": "https://collector:4318/v1/traces",
	})
	if err != nil {
		t.Fatal(err)
	}
	users, err := c.TracedUsers()
	if err != nil || c.TracePercent != 0.5 || !slices.Equal(users, []im.UserID{17, 4294967297}) {
		t.Errorf("%v per cent, users %v, %v", c.TracePercent, users, err)
	}
	for key, values := range map[string][]string{
		"trace_percent": {"-1", "100.1", "NaN", "few"},
		"trace_users":   {"alice", "0", "-1", "9007199254740992"},
		"trace_export":  {"collector:4318", "ftp://collector/v1", "http://", "%"},
	} {
		for _, v := range values {
			if _, err := Load("", map[string]string{key: v}); err == nil {
				t.Errorf("%s may be %q", key, v)
			}
		}
	}
}
