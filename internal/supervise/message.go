package supervise

import (
	"encoding/json"

	"github.com/skein-im/skein/internal/im"
)

// MaxLine bounds a line between supervisor and worker, with its end.
const MaxLine = 1 << 20

// kind says what a message is for.
type kind string

const (
	// To the worker.
	kindStart kind = "start"
	kindAsk   kind = "ask"
	kindDrain kind = "drain"
	// To the supervisor.
	kindReady    kind = "ready"
	kindFailed   kind = "failed"
	kindAnswer   kind = "answer"
	kindDraining kind = "draining"
)

// message is one line.
type message struct {
	Kind kind `json:"kind"`
	// Index and Count are with kindStart.
	Index int `json:"index,omitempty"`
	Count int `json:"count,omitempty"`
	// ID is with kindAsk and its kindAnswer.
	ID uint64 `json:"id,omitempty"`
	// Name is what kindAsk asks for, and why with kindDraining.
	Name string `json:"name,omitempty"`
	// Body is the input, the argument, the information or the answer.
	Body json.RawMessage `json:"body,omitempty"`
	// Error is with kindFailed, and with kindAnswer instead of a body.
	Error *failure `json:"error,omitempty"`
}

// failure is an im.Error on its way between processes of one program: unlike
// what goes to clients, it keeps the text of its cause.
type failure struct {
	Kind         im.ErrorKind `json:"kind"`
	Detail       string       `json:"detail"`
	RetryAfterMS uint32       `json:"retry_after_ms,omitempty"`
}

// maxDetail bounds the text of an error, so that it fits into a line however
// it has to be escaped.
const maxDetail = MaxLine / 16

func failureOf(err error) *failure {
	e := im.AsError(err)
	f := &failure{Kind: e.Kind, Detail: e.Detail, RetryAfterMS: e.RetryAfterMS}
	if e.Err != nil {
		f.Detail += ": " + e.Err.Error()
	}
	f.Detail = f.Detail[:min(len(f.Detail), maxDetail)]
	return f
}

func (f *failure) err() *im.Error {
	return &im.Error{Kind: f.Kind, Detail: f.Detail, RetryAfterMS: f.RetryAfterMS}
}

// encode makes a line of a message.
func encode(m message) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, im.Errorf(im.Invalid, "cannot be sent between supervisor and worker: %w", err)
	}
	if len(line) >= MaxLine {
		return nil, im.Errorf(im.TooLarge, "%d bytes between supervisor and worker; %d are possible", len(line)+1, MaxLine)
	}
	return append(line, '\n'), nil
}

// decode reads a line, which the message does not refer to afterwards.
func decode(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return m, im.Errorf(im.Invalid, "a line that is not a message: %q: %w", excerpt(line), err)
	}
	good := true
	switch m.Kind {
	case kindStart:
		good = m.Count > 0 && m.Index >= 0 && m.Index < m.Count
	case kindAsk:
		good = m.ID > 0 && m.Name != ""
	case kindAnswer:
		good = m.ID > 0
	case kindFailed:
		good = m.Error != nil
	case kindDrain, kindReady, kindDraining:
	default:
		good = false
	}
	if !good {
		return m, im.Errorf(im.Invalid, "a message without sense: %q", excerpt(line))
	}
	return m, nil
}

// excerpt is as much of a line as an error should hold.
func excerpt(line []byte) []byte {
	const most = 120
	return line[:min(len(line), most)]
}
