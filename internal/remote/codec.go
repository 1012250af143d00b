package remote

import (
	"github.com/skein-im/skein/internal/im"
)

// commandCodec carries one type of command. Codes are part of the protocol:
// never reuse one.
type commandCodec struct {
	code uint64
	name string
	is   func(im.Command) bool
	// append appends the command's fields.
	append func(dst []byte, cmd im.Command) []byte
	// read reads them. What it returns does not alias b.
	read func(b []byte) (im.Command, error)
}

// command makes the codec of *C from a function that appends fields and one
// that takes the current field.
func command[C any, P interface {
	*C
	im.Command
}](code uint64, name string, appendTo func([]byte, P) []byte, set func(P, *fields)) commandCodec {
	return commandCodec{
		code: code, name: name,
		is:     func(cmd im.Command) bool { _, ok := cmd.(P); return ok },
		append: func(dst []byte, cmd im.Command) []byte { return appendTo(dst, cmd.(P)) },
		read: func(b []byte) (im.Command, error) {
			c := P(new(C))
			f := fields{rest: b}
			for f.next() {
				set(c, &f)
			}
			return c, f.err(name)
		},
	}
}

// empty makes the codec of a command without fields.
func empty[C any, P interface {
	*C
	im.Command
}](code uint64, name string) commandCodec {
	return command(code, name, func(dst []byte, _ P) []byte { return dst }, func(P, *fields) {})
}

// commandCodecOf finds the codec of a command, or nil. Those that every
// message needs are the first in the table.
func commandCodecOf(cmd im.Command) *commandCodec {
	for i := range commands {
		if commands[i].is(cmd) {
			return &commands[i]
		}
	}
	return nil
}

// commandCodecFor finds the codec for a code, or nil.
func commandCodecFor(code uint64) *commandCodec {
	for i := range commands {
		if commands[i].code == code {
			return &commands[i]
		}
	}
	return nil
}

// resultCodec carries one type of result.
type resultCodec struct {
	code uint64
	name string
	// append appends the result's fields, if it is of the codec's type.
	append func(dst []byte, res im.Result) ([]byte, bool)
	read   func(b []byte) (im.Result, error)
}

// Codes of what needs no codec: nothing, and an *im.Error.
const (
	codeNothing = 0
	codeError   = 1
)

// result makes the codec of *R.
func result[R any](code uint64, name string, appendTo func([]byte, *R) []byte, set func(*R, *fields)) resultCodec {
	return resultCodec{
		code: code, name: name,
		append: func(dst []byte, res im.Result) ([]byte, bool) {
			r, ok := res.(*R)
			if !ok || r == nil {
				return dst, false
			}
			return appendTo(dst, r), true
		},
		read: func(b []byte) (im.Result, error) {
			r := new(R)
			err := readInto(r, b, name, set)
			return r, err
		},
	}
}

// results makes the codec of []R, whose elements are nested in field 1.
func results[R any](code uint64, name string, appendTo func([]byte, *R) []byte, set func(*R, *fields)) resultCodec {
	return resultCodec{
		code: code, name: name,
		append: func(dst []byte, res im.Result) ([]byte, bool) {
			list, ok := res.([]R)
			for i := range list {
				dst = appendNested(dst, 1, func(dst []byte) []byte { return appendTo(dst, &list[i]) })
			}
			return dst, ok
		},
		read: func(b []byte) (im.Result, error) {
			var list []R
			f := fields{rest: b}
			for f.next() {
				if f.num == 1 {
					var r R
					f.nest(readInto(&r, f.bytes(), name, set))
					list = append(list, r)
				}
			}
			return list, f.err(name)
		},
	}
}

func readInto[R any](r *R, b []byte, name string, set func(*R, *fields)) error {
	f := fields{rest: b}
	for f.next() {
		set(r, &f)
	}
	return f.err(name)
}

// appendAnswer appends the frame that answers command id.
func appendAnswer(dst []byte, id uint64, res im.Result, err error) []byte {
	start := len(dst)
	if err == nil {
		var ok bool
		if dst, ok = appendResult(dst, id, res); ok && len(dst)-start <= maxFrame {
			return dst
		}
		err = im.Errorf(im.Internal, "the mailbox's answer, a %T, cannot be carried", res)
	}
	dst, at := openHead(dst[:start], typeAnswer)
	dst = closeHead((&answerHead{id, codeError}).append(dst), at)
	return closeFrame(appendError(dst, im.AsError(err)), at)
}

func appendResult(dst []byte, id uint64, res im.Result) ([]byte, bool) {
	dst, at := openHead(dst, typeAnswer)
	if res == nil {
		dst = closeHead((&answerHead{id, codeNothing}).append(dst), at)
		return closeFrame(dst, at), true
	}
	head := len(dst)
	for i := range resultCodecs {
		c := &resultCodecs[i]
		dst = closeHead((&answerHead{id, c.code}).append(dst[:head]), at)
		var ok bool
		if dst, ok = c.append(dst, res); ok {
			return closeFrame(dst, at), true
		}
	}
	return dst, false
}

// readAnswer reads an answer's body.
func readAnswer(code uint64, body []byte) (im.Result, error) {
	switch code {
	case codeNothing:
		return nil, nil
	case codeError:
		e := new(im.Error)
		if err := readInto(e, body, "error", setError); err != nil {
			return nil, err
		}
		return nil, e
	}
	for i := range resultCodecs {
		if c := &resultCodecs[i]; c.code == code {
			res, err := c.read(body)
			if err != nil {
				return nil, err
			}
			return res, nil
		}
	}
	return nil, im.Errorf(im.Unimplemented, "the mailbox answered with what this version does not know, code %d", code)
}

// appendError appends the fields of an error without its cause.
func appendError(dst []byte, e *im.Error) []byte {
	dst = appendUint(dst, 1, e.Kind)
	dst = appendBytes(dst, 2, e.Detail)
	dst = appendUint(dst, 3, e.RetryAfterMS)
	dst = appendUint(dst, 4, e.Expected)
	dst = appendBool(dst, 5, e.Elsewhere)
	dst = appendPlace(dst, 6, e.At)
	return appendOwner(dst, 7, e.Owner)
}

// ownerSlots are the fields of who owns a slot.
var ownerSlots = []slot[im.Owner]{
	str(func(o *im.Owner) *string { return &o.Node }),
	num(func(o *im.Owner) *im.Epoch { return &o.Epoch }),
}

// appendOwner appends who owns the slot that was asked for, if an error says it.
func appendOwner(dst []byte, num int, o *im.Owner) []byte {
	if o == nil {
		return dst
	}
	return appendNested(dst, num, func(dst []byte) []byte { return appendSlots(dst, o, ownerSlots) })
}

func setError(e *im.Error, f *fields) {
	switch f.num {
	case 1:
		e.Kind = number[im.ErrorKind](f)
	case 2:
		e.Detail = f.string()
	case 3:
		e.RetryAfterMS = number[uint32](f)
	case 4:
		e.Expected = number[im.ClientSeq](f)
	case 5:
		e.Elsewhere = f.bool()
	case 6:
		e.At = new(im.Place)
		f.nest(readInto(e.At, f.bytes(), "place", setSlots(placeSlots)))
	case 7:
		e.Owner = new(im.Owner)
		f.nest(readInto(e.Owner, f.bytes(), "owner", setSlots(ownerSlots)))
	}
}
