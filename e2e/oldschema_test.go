package e2e

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/wire"
)

// linkMessages are the messages of the frames that a chat consists of.
var linkMessages = map[wire.Type]protoreflect.FullName{
	wire.TypeHello: "skein.v1.Hello", wire.TypeWelcome: "skein.v1.Welcome", wire.TypeSend: "skein.v1.Send",
	wire.TypeSendAck: "skein.v1.SendAck", wire.TypeDeliver: "skein.v1.Deliver", wire.TypeAck: "skein.v1.Ack",
}

// TestOldSchemaReadsLinks: what this version's client and gateway say is read
// under an earlier release's schema, with every field that was always there.
func TestOldSchemaReadsLinks(t *testing.T) {
	inBothShapes(t, setup{}, oldSchemaReadsLinks)
}

func oldSchemaReadsLinks(t *testing.T, s *product) {
	link := newTap(t, s.Link)
	_, verdict := benchChat(t, &server{addresses: addresses{HTTP: s.HTTP, Link: link.addr(), Data: s.Data}},
		"--users", "6", "--friends", "2", "--messages", "2")
	verdict().check(t)
	s.stop(t)
	first := link.all()[0]
	all, err := releases.All("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		schema, err := r.Schema()
		if err != nil {
			t.Fatal(err)
		}
		for name, now := range map[string]*logBuffer{"link-up": &first.up, "link-down": &first.down} {
			old, err := r.Stream(name)
			if err != nil {
				t.Fatal(err)
			}
			was, is := alwaysSet(t, schema, old), alwaysSet(t, schema, []byte(now.String()))
			if len(was) < 3 {
				t.Fatalf("%s of %s has %v only", name, r.Name, was)
			}
			for typ, fields := range was {
				for field := range fields {
					if !is[typ][field] {
						t.Errorf("for %s, %s has no %s", r.Name, typ, field)
					}
				}
			}
		}
	}
}

// alwaysSet reads a stream under a schema: which fields all messages of a type
// have.
func alwaysSet(t *testing.T, schema *protoregistry.Files, b []byte) map[wire.Type]map[protoreflect.Name]bool {
	t.Helper()
	set := map[wire.Type]map[protoreflect.Name]bool{}
	for len(b) > 0 {
		typ, header, size, err := wire.ParseHeader(b, 1<<20)
		if err != nil || header == 0 || len(b) < header+size {
			t.Fatalf("the stream ends with half a frame: %v", err)
		}
		payload := b[header : header+size]
		b = b[header+size:]
		name, ok := linkMessages[typ]
		if !ok {
			continue
		}
		d, err := schema.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
		if err := proto.Unmarshal(payload, m); err != nil {
			t.Fatalf("%s under the old schema: %v", typ, err)
		}
		has := map[protoreflect.Name]bool{}
		m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			has[f.Name()] = set[typ] == nil || set[typ][f.Name()]
			return true
		})
		for f, always := range has {
			if !always {
				delete(has, f)
			}
		}
		set[typ] = has
	}
	return set
}
