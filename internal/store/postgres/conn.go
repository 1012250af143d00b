package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// query is a statement with its parameters, and what it answers: rows of
// columns, all in the server's binary format.
type query struct {
	st     *statement
	params [][]byte
	rows   [][][]byte
}

// conn is a connection to the primary.
type conn struct {
	pg *pgconn.PgConn
	// generation is that of the search for the primary which it comes from.
	generation uint64
	prepared   map[*statement]*pgconn.StatementDescription
	// warning is what the server has warned of in the exchange under way.
	warning string
}

// binary says that all parameters and columns are in binary format.
var binaryFormat = []int16{1}

// prepare has the server prepare all statements.
func (c *conn) prepare(ctx context.Context) error {
	p := c.pg.StartPipeline(ctx)
	for _, st := range statements {
		p.SendPrepare(st.name, st.sql, nil)
	}
	err := p.Sync()
	for _, st := range statements {
		if err != nil {
			break
		}
		var r any
		if r, err = p.GetResults(); err == nil {
			sd, _ := r.(*pgconn.StatementDescription)
			sd.Name = st.name
			c.prepared[st] = sd
		}
	}
	return errors.Join(err, p.Close())
}

// outcome is what became of an exchange.
type outcome uint8

const (
	answered outcome = iota
	// refused: surely nothing was done.
	refused
	// unknown: nobody knows.
	unknown
)

// exchange runs queries in one transaction, with one round trip. It is answered
// when the transaction is durable here, and on the standbys if the server is set
// up to wait for some; if confirm, what it is set up to wait for is returned.
func (c *conn) exchange(ctx context.Context, confirm bool, queries []*query) (standbys string, o outcome, err error) {
	c.warning = ""
	p := c.pg.StartPipeline(ctx)
	for _, q := range queries {
		p.SendQueryStatement(c.prepared[q.st], q.params, binaryFormat, binaryFormat)
	}
	p.SendPipelineSync()
	if confirm {
		p.SendQueryStatement(c.prepared[sqlStandbys], nil, nil, binaryFormat)
		p.SendPipelineSync()
	}
	if err := p.Flush(); err != nil {
		return "", unknown, errors.Join(err, p.Close())
	}
	r := results{pipeline: p}
	r.take(queries)
	ended := r.syncs == 1 && r.err == nil
	if confirm && ended {
		after := []*query{{st: sqlStandbys}}
		r.take(after)
		if ended = r.syncs == 2 && r.err == nil; ended {
			standbys = string(after[0].rows[0][0])
		}
	}
	err = errors.Join(r.err, p.Close())
	switch {
	case c.warning != "":
		// The transaction is done here, and not known to be on standbys.
		return "", unknown, &StandbyError{Because: c.warning}
	case ended && err == nil:
		return standbys, answered, nil
	case r.rolledBack:
		return "", refused, r.err
	}
	return "", unknown, err
}

// results are what a pipeline brings.
type results struct {
	pipeline *pgconn.Pipeline
	// syncs is how many transactions have ended.
	syncs int
	err   error
	// rolledBack: the server has said that the first transaction failed, and
	// goes on.
	rolledBack bool
}

// take reads the answers to the queries of one transaction, up to its end.
func (r *results) take(queries []*query) {
	for at := 0; ; {
		got, err := r.pipeline.GetResults()
		var refusal *pgconn.PgError
		switch got := got.(type) {
		case *pgconn.ResultReader:
			res := got.Read()
			err = res.Err
			if err == nil && at < len(queries) {
				queries[at].rows = res.Rows
				at++
			}
		case *pgconn.PipelineSync:
			r.syncs++
			r.rolledBack = r.rolledBack && r.syncs == 1
			return
		case nil:
			if err == nil {
				err = errors.New("the server has ended the exchange too early")
			}
		}
		if err == nil {
			continue
		}
		r.err = errors.Join(r.err, err)
		if !errors.As(err, &refusal) || refusal.SeverityUnlocalized != "ERROR" {
			r.rolledBack = false
			return
		}
		r.rolledBack = true
	}
}

// StandbyError says that a write is not known to be on as many standbys as it
// must be. It may be lost in a failover, or not.
type StandbyError struct{ Because string }

func (e *StandbyError) Error() string {
	return fmt.Sprintf("too few standbys have confirmed the write: it is not acknowledged, and nobody knows whether it will last (%s)", e.Because)
}
