package remote

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// imFiles parses package im.
func imFiles(t *testing.T) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob("../im/*.go")
	if err != nil || len(paths) < 5 {
		t.Fatalf("package im: %v, %v", paths, err)
	}
	var files []*ast.File
	for _, p := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// imCommands are the names of the types in package im that are commands, and
// what their comments say that the result is.
func imCommands(t *testing.T) map[string]string {
	t.Helper()
	docs, names := map[string]string{}, map[string]string{}
	for _, f := range imFiles(t) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && d.Name.Name == "command" {
					names[d.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name] = ""
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok {
						docs[ts.Name.Name] = d.Doc.Text() + ts.Doc.Text()
					}
				}
			}
		}
	}
	result := regexp.MustCompile(`Result:\s+(\*?(?:\[\])?\w+)`)
	for name := range names {
		m := result.FindStringSubmatch(docs[name])
		if m == nil {
			t.Errorf("im.%s does not say in its comment what its result is", name)
			continue
		}
		names[name] = m[1]
	}
	return names
}

func typeName(v any) string { return strings.ReplaceAll(reflect.TypeOf(v).String(), "im.", "") }

// sampleCommands makes one of every command, from the codecs.
func sampleCommands(t testing.TB) []im.Command {
	t.Helper()
	var list []im.Command
	for i := range commands {
		cmd, err := commands[i].read(nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, cmd)
	}
	return list
}

// sampleResults makes one of every result.
func sampleResults(t testing.TB) []im.Result {
	t.Helper()
	var list []im.Result
	for i := range resultCodecs {
		res, err := resultCodecs[i].read(nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, res)
	}
	return list
}

func TestEveryCommandHasACodec(t *testing.T) {
	have := map[string]bool{}
	for _, cmd := range sampleCommands(t) {
		have[strings.TrimPrefix(typeName(cmd), "*")] = true
	}
	results := map[string]bool{"nil": true}
	for _, res := range sampleResults(t) {
		results[typeName(res)] = true
	}
	names := imCommands(t)
	if len(names) < 18 {
		t.Fatalf("found only %d commands in package im", len(names))
	}
	for name, result := range names {
		if !have[name] {
			t.Errorf("im.%s has no codec: add it to commands", name)
		}
		if !results[result] {
			t.Errorf("im.%s is answered with %s, which has no codec: add it to resultCodecs", name, result)
		}
	}
}

// TestCommandsAboutSessions: every command that names a session is known to be
// about it, and the mailbox hears another name.
func TestCommandsAboutSessions(t *testing.T) {
	found := 0
	for _, cmd := range sampleCommands(t) {
		field := reflect.ValueOf(cmd).Elem().FieldByName("Session")
		if !field.IsValid() {
			continue
		}
		found++
		field.SetUint(5)
		if got := im.SessionOf(cmd); got != 5 {
			t.Errorf("%T is about session %d: add it to im.SessionOf", cmd, got)
		}
		l := &serverLink{srv: &Server{}, peer: hello{instance: 9}}
		if _, err := l.translate(&call{}, im.User(1), cmd); err != nil || field.Uint() != uint64(l.foreign(5)) {
			t.Errorf("%T comes to the mailbox with session %d, %v: add it to translate", cmd, field.Uint(), err)
		}
	}
	if found < 5 {
		t.Errorf("found only %d commands about sessions", found)
	}
}

func TestCodesAreUnique(t *testing.T) {
	seen := map[uint64]string{}
	for i := range commands {
		c := &commands[i]
		if seen[c.code] != "" || c.code == 0 {
			t.Errorf("%s has code %d, as %s", c.name, c.code, seen[c.code])
		}
		seen[c.code] = c.name
	}
	seen = map[uint64]string{codeNothing: "nothing", codeError: "error"}
	for i := range resultCodecs {
		c := &resultCodecs[i]
		if seen[c.code] != "" {
			t.Errorf("%s has code %d, as %s", c.name, c.code, seen[c.code])
		}
		seen[c.code] = c.name
	}
}

// filler sets every field to another value that is not zero.
type filler struct{ n uint64 }

func (f *filler) fill(v reflect.Value) {
	f.n += 3
	switch v.Kind() {
	case reflect.Uint8:
		v.SetUint(f.n%250 + 1)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.n)
	case reflect.Int64:
		v.SetInt(-int64(f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(strings.Repeat("字", int(f.n%50)+1))
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			f.fill(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Sink" && name != "Command" && v.Field(i).CanSet() {
				f.fill(v.Field(i))
			}
		}
	}
}

// full fills what v, a pointer or a slice, holds.
func full[T any](v T) T {
	r := reflect.ValueOf(&v).Elem().Elem()
	f := filler{}
	if r.Kind() == reflect.Slice {
		list := reflect.New(r.Type()).Elem()
		f.fill(list)
		return list.Interface().(T)
	}
	f.fill(r.Elem())
	return v
}

// unexported lets cmp look into the types of this package.
var unexported = cmp.AllowUnexported(timelineRead{}, conversationRead{}, page{})

// withUnknown surrounds fields with such as a later version may send.
func withUnknown(b []byte) []byte {
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)
	unknown = protowire.AppendBytes(protowire.AppendTag(unknown, 2000, protowire.BytesType), []byte("later"))
	unknown = protowire.AppendFixed32(protowire.AppendTag(unknown, 100, protowire.Fixed32Type), 1)
	unknown = protowire.AppendFixed64(protowire.AppendTag(unknown, 101, protowire.Fixed64Type), 1)
	return append(append(append([]byte{}, unknown...), b...), unknown...)
}

func TestCommandsSurvive(t *testing.T) {
	list := []im.Command{
		&timelineRead{after: 1 << 40, limit: 2, patienceMS: 3},
		&conversationRead{from: 1 << 40, limit: 2, patienceMS: 3, statement: true},
	}
	for _, cmd := range sampleCommands(t) {
		list = append(list, full(cmd))
	}
	for _, cmd := range append(list, sampleCommands(t)...) {
		codec := commandCodecOf(cmd)
		b := codec.append(nil, cmd)
		for _, in := range [][]byte{b, withUnknown(b)} {
			got, err := codec.read(in)
			if err != nil {
				t.Fatalf("%T: %v", cmd, err)
			}
			if d := cmp.Diff(cmd, got, unexported, staysHere); d != "" {
				t.Errorf("%T (-sent +received):\n%s", cmd, d)
			}
		}
	}
}

func TestZeroIsNotNothing(t *testing.T) {
	zero := im.Seq(0)
	cmd := &im.Attach{Cursor: &zero, Resume: &im.Resume{}}
	got, err := commandCodecOf(cmd).read(commandCodecOf(cmd).append(nil, cmd))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(im.Command(cmd), got); d != "" {
		t.Error(d)
	}
}

// roundTrip carries an answer.
func roundTrip(t testing.TB, res im.Result, err error) (im.Result, error) {
	t.Helper()
	frame := appendAnswer(nil, 77, res, err)
	typ, payload, n, perr := wire.Parse(frame, maxFrame)
	if n != len(frame) || perr != nil || typ != typeAnswer {
		t.Fatalf("frame: %v %v %v", typ, n, perr)
	}
	head, body, perr := splitHead(payload)
	if perr != nil {
		t.Fatal(perr)
	}
	var h answerHead
	if perr := h.read(head); perr != nil || h.id != 77 {
		t.Fatalf("head %+v, %v", h, perr)
	}
	if h.code != codeNothing {
		body = withUnknown(body)
	}
	return readAnswer(h.code, body)
}

func TestResultsSurvive(t *testing.T) {
	list := sampleResults(t)
	for _, res := range sampleResults(t) {
		if p, ok := res.(*page); ok {
			p.entries, p.next = [][]byte{{}, []byte("entry")}, 5
			list = append(list, p)
			continue
		}
		list = append(list, full(res))
	}
	for _, res := range append(list, nil) {
		got, err := roundTrip(t, res, nil)
		if err != nil {
			t.Fatalf("%T: %v", res, err)
		}
		if d := cmp.Diff(res, got, unexported); d != "" {
			t.Errorf("%T (-sent +received):\n%s", res, d)
		}
	}
}

func TestErrorsSurviveWithoutCause(t *testing.T) {
	sent := im.Errorf(im.SequenceGap, "waiting for 4: %w", errors.New("a secret path"))
	sent.RetryAfterMS, sent.Expected = 300, 4
	_, err := roundTrip(t, nil, sent)
	want := &im.Error{Kind: im.SequenceGap, Detail: sent.Detail, RetryAfterMS: 300, Expected: 4}
	if d := cmp.Diff(error(want), err); d != "" {
		t.Error(d)
	}
	if _, err := roundTrip(t, nil, errors.New("a secret path")); im.KindOf(err) != im.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("a foreign error came as %v", err)
	}
}

func TestAnswersThatCannotBeCarried(t *testing.T) {
	type odd struct{}
	if _, err := roundTrip(t, &odd{}, nil); im.KindOf(err) != im.Internal {
		t.Errorf("an unknown result: %v", err)
	}
	if _, err := roundTrip(t, (*im.Sent)(nil), nil); im.KindOf(err) != im.Internal {
		t.Errorf("a nil result: %v", err)
	}
	if _, err := roundTrip(t, &page{entries: [][]byte{make([]byte, maxFrame)}}, nil); im.KindOf(err) != im.Internal {
		t.Errorf("a result that is too large: %v", err)
	}
	if _, err := readAnswer(1<<40, nil); im.KindOf(err) != im.Unimplemented {
		t.Errorf("the result of a later version: %v", err)
	}
}

// TestDecodedKeepsNothing: what was read does not alias the buffer.
func TestDecodedKeepsNothing(t *testing.T) {
	cmd := &im.Send{To: 1, Content: im.Content{Type: 1, Body: []byte("hello")}}
	b := commandCodecOf(cmd).append(nil, cmd)
	got, err := commandCodecOf(cmd).read(b)
	if err != nil {
		t.Fatal(err)
	}
	body := appendDeliver(nil, &deliverHead{1, 2, 3}, [][]byte{[]byte("one"), []byte("two")})
	_, body, err = splitHead(body[1+lengthBytes:])
	if err != nil {
		t.Fatal(err)
	}
	entries, err := readEntries(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	clear(body)
	if s := string(got.(*im.Send).Content.Body); s != "hello" {
		t.Errorf("the body became %q", s)
	}
	if string(entries[0]) != "one" || string(entries[1]) != "two" {
		t.Errorf("the entries became %q", entries)
	}
}

func TestHotEncodersDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	send := &im.Send{To: 1 << 33, ClientSeq: 9, Content: im.Content{Type: 1, Body: make([]byte, 256)}}
	ack := &im.AckDelivered{Device: 1, Session: 2, Seq: 3}
	sent := &im.Sent{Seq: 1}
	entries := [][]byte{make([]byte, 300)}
	for name, op := range map[string]func(){
		"send":    func() { commandCodecOf(send).append(buf, send) },
		"ack":     func() { commandCodecOf(ack).append(buf, ack) },
		"sent":    func() { appendAnswer(buf, 1, sent, nil) },
		"deliver": func() { appendDeliver(buf, &deliverHead{1, 2, 3}, entries) },
	} {
		if n := testing.AllocsPerRun(100, op); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
