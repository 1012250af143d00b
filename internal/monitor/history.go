package monitor

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/samplelog"
	"github.com/skein-im/skein/internal/series"
)

const (
	// repeatAlerts is how often, in seconds, a log says what fires, so that
	// its newest files do.
	repeatAlerts = 60
	// remembered is how many seconds are read back from logs at a start.
	remembered = 24 * 3600
	// ahead is by how many seconds what is read back may be ahead of the
	// clock, which may have been set back since.
	ahead = 60
)

// history is the log, and whether this Monitor is the one that writes it. It
// belongs to the Monitor's loop.
type history struct {
	cfg samplelog.Config
	log *slog.Logger
	w   *samplelog.Writer
	// err is why the log could not be written last time.
	err     error
	samples []samplelog.Sample
	told    int64
}

// alertEvent is what a log says of alerts: all that fire.
type alertEvent struct {
	Alerts []Alert `json:"alerts"`
}

// lead tries to become the one that writes. It reports whether it just did.
func (h *history) lead() bool {
	if h.cfg.Dir == "" || h.w != nil {
		return false
	}
	w, err := samplelog.Open(h.cfg)
	if err != nil {
		if im.KindOf(err) != im.Busy {
			h.complain(err)
		}
		return false
	}
	h.w = w
	h.log.Info("this process writes the samples from now on", "dir", h.cfg.Dir)
	return true
}

// leads reports whether this Monitor writes, and calls the webhook. Without a
// directory there is nobody else to do it.
func (h *history) leads() bool { return h.cfg.Dir == "" || h.w != nil }

func (h *history) complain(err error) {
	if h.err == nil {
		h.log.Error("the samples are not logged", "err", err)
	}
	h.err = err
}

// sample notes a value of the second under way.
func (h *history) sample(name string, merge series.Merge, v float64) {
	if h.w != nil {
		h.samples = append(h.samples, samplelog.Sample{Name: name, Merge: mergeNames[merge], Value: v})
	}
}

var mergeNames = map[series.Merge]string{series.Sum: "sum", series.Max: "max", series.Min: "min"}

func mergeNamed(name string) series.Merge {
	for m, n := range mergeNames {
		if n == name {
			return m
		}
	}
	return series.Sum
}

// write ends a second.
func (h *history) write(at int64, firing []Alert, changed bool) {
	if h.w == nil {
		return
	}
	err := h.w.Append(at, h.samples)
	h.samples = h.samples[:0]
	if err == nil && (changed || at >= h.told+repeatAlerts) {
		h.told = at
		err = h.w.Event(at, alertEvent{firing})
	}
	if err != nil {
		h.complain(err)
		return
	}
	if h.err != nil {
		h.log.Info("the samples are logged again")
		h.err = nil
	}
}

func (h *history) close() error {
	if h.w == nil {
		return nil
	}
	return h.w.Close()
}

// newestFiles is in how many files the alerts are looked for that others knew.
const newestFiles = 3

// alertsIn are the alerts that a log says fire.
func alertsIn(dir string) []Alert {
	files, err := samplelog.Files(dir)
	if err != nil {
		return nil
	}
	var found alertEvent
	for _, f := range files[max(0, len(files)-newestFiles):] {
		_, _ = samplelog.ReadFile(f.Path, samplelog.Handler{Event: func(_ int64, text []byte) {
			var e alertEvent
			if json.Unmarshal(text, &e) == nil && e.Alerts != nil {
				found = e
			}
		}})
	}
	return found.Alerts
}

// restore reads back what a log says of the last day.
func restore(dir string, most int, now int64, log *slog.Logger) *series.Store {
	s := series.New(most)
	began := time.Now()
	read, err := samplelog.ReadDir(dir, samplelog.Handler{Samples: func(at int64, samples []samplelog.Sample) {
		if at <= now-remembered || at > now+ahead {
			return
		}
		for _, x := range samples {
			s.Add(at, x.Name, mergeNamed(x.Merge), x.Value)
		}
	}})
	if err != nil {
		log.Error("the logs of samples cannot be read", "err", err)
		return s
	}
	if read.Seconds > 0 || read.Malformed > 0 {
		log.Info("read back samples", "seconds", read.Seconds, "malformed_lines", read.Malformed, "took", time.Since(began).Round(time.Millisecond))
	}
	return s
}
