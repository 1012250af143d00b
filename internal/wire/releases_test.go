package wire

import (
	stdbytes "bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/releases"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
)

// payloads are the messages of frames.
var payloads = map[Type]func() proto.Message{
	TypePing: nil, TypePong: nil,
	TypeHello:   func() proto.Message { return new(skeinv1.Hello) },
	TypeWelcome: func() proto.Message { return new(skeinv1.Welcome) },
	TypeSend:    func() proto.Message { return new(skeinv1.Send) },
	TypeSendAck: func() proto.Message { return new(skeinv1.SendAck) },
	TypeDeliver: func() proto.Message { return new(skeinv1.Deliver) },
	TypeAck:     func() proto.Message { return new(skeinv1.Ack) },
	TypePull:    func() proto.Message { return new(skeinv1.Pull) },
	TypeClose:   func() proto.Message { return new(skeinv1.Close) },
}

// TestLinksOfReleases: this version reads every frame of an earlier release's
// link, and says the same in the same bytes, so that the earlier one reads it.
func TestLinksOfReleases(t *testing.T) {
	releases.Each(t, "../..", "link-up", func(t *testing.T, r releases.Release) {
		seen := map[Type]int{}
		err := r.Walk("link", func(rest []byte) (int, error) {
			typ, payload, n, err := Parse(rest, 1<<20)
			if n > 0 {
				sameBytes(t, typ, payload)
				seen[typ]++
			}
			return n, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []Type{TypeHello, TypeWelcome, TypeSend, TypeSendAck, TypeDeliver, TypeAck} {
			if seen[typ] == 0 {
				t.Errorf("there is no %s in it", typ)
			}
		}
	})
}

func sameBytes(t *testing.T, typ Type, payload []byte) {
	t.Helper()
	make, known := payloads[typ]
	if !known {
		t.Fatalf("%s is not known", typ)
	}
	if make == nil {
		return
	}
	m := make()
	if err := proto.Unmarshal(payload, m); err != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Fatalf("%s is read as %v, %v", typ, m, err)
	}
	again, err := again(typ, payload, m)
	if err != nil || !stdbytes.Equal(again, payload) {
		t.Errorf("%s %x is written as %x, %v", typ, payload, again, err)
	}
}

// again writes a message as this version does.
func again(typ Type, payload []byte, m proto.Message) ([]byte, error) {
	switch typ {
	case TypeSend:
		var s Send
		err := s.Unmarshal(payload)
		return AppendSend(nil, &s), err
	case TypeDeliver:
		var entries [][]byte
		err := RangeDeliver(payload, func(b []byte) error {
			var e Entry
			if err := e.Unmarshal(b); err != nil {
				return err
			}
			entries = append(entries, AppendEntry(nil, &e))
			return nil
		})
		return AppendDeliver(nil, entries), err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// TestSchemasOfReleases: the protocol and what is stored only grow. What an
// earlier release knew is there with the same number, name and type.
func TestSchemasOfReleases(t *testing.T) {
	releases.Each(t, "../..", "schema", func(t *testing.T, r releases.Release) {
		files, err := r.Schema()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			if f.Package().Parent() == "skein" || f.Package().Parent().Parent() == "skein" {
				keepMessages(t, f.Messages())
				keepEnums(t, f.Enums())
				keepServices(t, f.Services())
				n++
			}
			return true
		})
		if n < 4 {
			t.Errorf("the schema has %d files", n)
		}
	})
}

func today[D protoreflect.Descriptor](t *testing.T, old D) (d D, ok bool) {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(old.FullName())
	if err == nil {
		d, ok = found.(D)
	}
	if !ok {
		t.Errorf("%s has gone", old.FullName())
	}
	return d, ok
}

func keepMessages(t *testing.T, all protoreflect.MessageDescriptors) {
	t.Helper()
	for i := range all.Len() {
		old := all.Get(i)
		now, ok := today(t, old)
		if !ok {
			continue
		}
		for j := range old.Fields().Len() {
			was := old.Fields().Get(j)
			is := now.Fields().ByNumber(was.Number())
			if is == nil || is.Name() != was.Name() || is.Kind() != was.Kind() || is.Cardinality() != was.Cardinality() || is.HasPresence() != was.HasPresence() {
				t.Errorf("%s is now %v", was.FullName(), is)
			}
		}
		keepMessages(t, old.Messages())
		keepEnums(t, old.Enums())
	}
}

func keepEnums(t *testing.T, all protoreflect.EnumDescriptors) {
	t.Helper()
	for i := range all.Len() {
		old := all.Get(i)
		now, ok := today(t, old)
		for j := 0; ok && j < old.Values().Len(); j++ {
			was := old.Values().Get(j)
			if is := now.Values().ByNumber(was.Number()); is == nil || is.Name() != was.Name() {
				t.Errorf("%s is now %v", was.FullName(), is)
			}
		}
	}
}

func keepServices(t *testing.T, all protoreflect.ServiceDescriptors) {
	t.Helper()
	for i := range all.Len() {
		old := all.Get(i)
		now, ok := today(t, old)
		for j := 0; ok && j < old.Methods().Len(); j++ {
			was := old.Methods().Get(j)
			is := now.Methods().ByName(was.Name())
			if is == nil || is.Input().FullName() != was.Input().FullName() || is.Output().FullName() != was.Output().FullName() {
				t.Errorf("%s is now %v", was.FullName(), is)
			}
		}
	}
}
