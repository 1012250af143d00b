package swarm

import (
	"context"
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Collection is what members collected.
type Collection struct {
	Latency, Lateness, Logins *hdrhistogram.Histogram
	// Admitted and Received are by number of the connection.
	Admitted, Received []uint64
	// Wins, Opens and what follows are as in Collected.
	Wins, Opens *hdrhistogram.Histogram
	Seconds     []Second
	Wallets     []Wallet
	Envelopes   []Envelope
	Differing   int
}

func newCollection() *Collection {
	return &Collection{
		Latency: newHistogram(), Lateness: newHistogram(), Logins: newHistogram(), Wins: newHistogram(), Opens: newHistogram(),
	}
}

// Collect asks for histograms, which begin anew, and books.
func (s *Swarm) Collect(ctx context.Context) (*Collection, error) {
	s.mu.Lock()
	for _, p := range s.members {
		p.collected = nil
	}
	s.mu.Unlock()
	if err := s.order(ctx, func(*Job) *Order { return &Order{Collect: true} }); err != nil {
		return nil, err
	}
	if err := s.Wait(ctx, func(*Status) bool { return s.collected() }); err != nil {
		return nil, err
	}
	c := newCollection()
	if s.cfg.Sends {
		c.Admitted, c.Received = make([]uint64, s.cfg.Conns), make([]uint64, s.cfg.Conns)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.members {
		if err := c.add(p.job, p.collected); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s *Swarm) collected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.members {
		if p.collected == nil {
			return false
		}
	}
	return true
}

func (c *Collection) add(j *Job, m *Collected) error {
	err := errors.Join(merge(c.Latency, m.Latency), merge(c.Lateness, m.Lateness), merge(c.Logins, m.Logins),
		merge(c.Wins, m.Wins), merge(c.Opens, m.Opens))
	if err != nil {
		return err
	}
	c.addMoney(m)
	if c.Admitted == nil {
		return nil
	}
	if len(m.Admitted) != j.Conns() || len(m.Received) != j.Conns() {
		return fmt.Errorf("process %d of the load generator keeps books of %d devices, not %d", j.Member, len(m.Admitted), j.Conns())
	}
	for i := range m.Admitted {
		c.Admitted[j.number(i)], c.Received[j.number(i)] = m.Admitted[i], m.Received[i]
	}
	return nil
}

func (c *Collection) addMoney(m *Collected) {
	for i := range m.Seconds {
		if i == len(c.Seconds) {
			c.Seconds = append(c.Seconds, Second{})
		}
		c.Seconds[i].add(&m.Seconds[i])
	}
	c.Wallets = append(c.Wallets, m.Wallets...)
	c.Envelopes = append(c.Envelopes, m.Envelopes...)
	c.Differing += m.Differing
}
