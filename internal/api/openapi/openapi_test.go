package openapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/skein-im/skein/docs"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
)

func parse(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows keys into a document.
func at(t *testing.T, doc any, keys ...string) any {
	t.Helper()
	for _, k := range keys {
		m, _ := doc.(map[string]any)
		next, ok := m[k]
		if !ok {
			t.Fatalf("there is no %q on the way to %v", k, keys)
		}
		doc = next
	}
	return doc
}

// walk calls f for every object in a document.
func walk(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(v)
		for _, e := range v {
			walk(e, f)
		}
	case []any:
		for _, e := range v {
			walk(e, f)
		}
	}
}

// files are those whose services the API has.
var files = []protoreflect.FileDescriptor{skeinv1.File_skein_v1_api_proto, skeinv1.File_skein_v1_money_proto}

func generate(t *testing.T) []byte {
	t.Helper()
	raw, err := Generate(files, (&skeinv1.Error{}).ProtoReflect().Descriptor())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestGenerateIsDeterministic(t *testing.T) {
	if a, b := generate(t), generate(t); string(a) != string(b) {
		t.Error("two runs differ")
	}
}

// The descriptors linked into this program carry no comments, so descriptions
// are compared in TestDescriptionsAreTheSchemasComments.
func TestCommittedFileIsUpToDate(t *testing.T) {
	strip := func(doc map[string]any) map[string]any {
		walk(doc, func(m map[string]any) {
			if _, ok := m["description"].(string); ok {
				delete(m, "description")
			}
		})
		return doc
	}
	committed, fresh := strip(parse(t, docs.OpenAPI)), strip(parse(t, generate(t)))
	if diff := cmp.Diff(committed, fresh); diff != "" {
		t.Errorf("docs/openapi.json is out of date, run scripts/generate.sh: %s", diff)
	}
}

func TestEveryMethodIsDescribed(t *testing.T) {
	doc := parse(t, docs.OpenAPI)
	paths := 0
	for service := range Services(files) {
		for j := range service.Methods().Len() {
			m := service.Methods().Get(j)
			paths++
			op := at(t, doc, "paths", "/"+string(service.FullName())+"/"+string(m.Name()), "post")
			for keys, d := range map[*[]string]protoreflect.MessageDescriptor{
				{"requestBody", "content", "application/json", "schema", "$ref"}:      m.Input(),
				{"responses", "200", "content", "application/json", "schema", "$ref"}: m.Output(),
			} {
				if got, want := at(t, op, *keys...), schemaPrefix+string(d.FullName()); got != want {
					t.Errorf("%s: %v is %v, want %v", m.FullName(), *keys, got, want)
				}
			}
			at(t, op, "responses", "default")
		}
	}
	if all := at(t, doc, "paths").(map[string]any); len(all) != paths || paths < 18 {
		t.Errorf("%d paths for %d methods", len(all), paths)
	}
}

func TestEveryReferenceResolves(t *testing.T) {
	doc := parse(t, docs.OpenAPI)
	refs := 0
	walk(doc, func(m map[string]any) {
		ref, ok := m["$ref"].(string)
		if !ok {
			return
		}
		refs++
		rest, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			t.Errorf("%q leaves the document", ref)
			return
		}
		at(t, doc, strings.Split(rest, "/")...)
	})
	if refs < 50 {
		t.Errorf("only %d references", refs)
	}
}

func TestEverySecurityRequirementResolves(t *testing.T) {
	doc := parse(t, docs.OpenAPI)
	walk(doc, func(m map[string]any) {
		list, _ := m["security"].([]any)
		for _, requirement := range list {
			for scheme := range requirement.(map[string]any) {
				at(t, doc, "components", "securitySchemes", scheme)
			}
		}
	})
}

// Every description is a comment of the schema, or text of this package.
func TestDescriptionsAreTheSchemasComments(t *testing.T) {
	known := oneLine(string(generate(t)))
	comment := regexp.MustCompile(`(?m)^\s*//`)
	for _, name := range []string{"api.proto", "money.proto", "link.proto"} {
		src, err := os.ReadFile(filepath.Join("..", "..", "..", "proto", "skein", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		known += oneLine(comment.ReplaceAllString(string(src), " "))
	}
	valueName := regexp.MustCompile(`^[A-Z][A-Z0-9_]+: `)
	described := 0
	walk(parse(t, docs.OpenAPI), func(m map[string]any) {
		text, ok := m["description"].(string)
		if !ok {
			return
		}
		described++
		for p := range strings.SplitSeq(text, "\n\n") {
			p = valueName.ReplaceAllString(p, "")
			if !strings.Contains(known, oneLine(p)) {
				t.Errorf("%q is no comment of the schema (any more); run scripts/generate.sh", p)
			}
		}
	})
	if described < 60 {
		t.Errorf("only %d descriptions: was the file generated without source information?", described)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestSchemasFollowTheJSONMapping(t *testing.T) {
	doc := parse(t, docs.OpenAPI)
	property := func(message, field string) any {
		return at(t, doc, "components", "schemas", "skein.v1."+message, "properties", field)
	}
	if got := at(t, property("SendRequest", "to"), "type"); !cmp.Equal(got, []any{"string", "integer"}) {
		t.Errorf("uint64 is %v", got)
	}
	if got := at(t, property("Content", "body"), "contentEncoding"); got != "base64" {
		t.Errorf("bytes are encoded as %v", got)
	}
	if got := at(t, property("SyncResponse", "entries"), "items", "$ref"); got != schemaPrefix+"skein.v1.Entry" {
		t.Errorf("entries are %v", got)
	}
	if got := at(t, doc, "components", "schemas", "skein.v1.ContentType", "enum"); !cmp.Equal(got,
		[]any{"CONTENT_TYPE_UNSPECIFIED", "CONTENT_TYPE_TEXT", "CONTENT_TYPE_CUSTOM"}) {
		t.Errorf("the enum is %v", got)
	}
	property("Error", "retryAfterMs")
}

// describeOne runs the generator on one message with one field.
func describeOne(t *testing.T, field *descriptorpb.FieldDescriptorProto, streaming bool) error {
	t.Helper()
	str := func(s string) *string { return &s }
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: str("x.proto"), Package: str("x"), Syntax: str("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: str("M"), Field: []*descriptorpb.FieldDescriptorProto{field}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: str("S"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: str("Do"), InputType: str(".x.M"), OutputType: str(".x.M"), ServerStreaming: &streaming,
		}}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Generate([]protoreflect.FileDescriptor{file})
	return err
}

func TestGenerateRefusesWhatItCannotDescribe(t *testing.T) {
	field := func(typ descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		name, number, label := "f", int32(1), descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &typ, Label: &label}
	}
	if err := describeOne(t, field(descriptorpb.FieldDescriptorProto_TYPE_STRING), false); err != nil {
		t.Errorf("a text: %v", err)
	}
	if err := describeOne(t, field(descriptorpb.FieldDescriptorProto_TYPE_DOUBLE), false); err == nil {
		t.Error("a double was described")
	}
	if err := describeOne(t, field(descriptorpb.FieldDescriptorProto_TYPE_STRING), true); err == nil {
		t.Error("a stream was described")
	}
}

func TestParagraphs(t *testing.T) {
	if got := paragraphs(" One\n two.\n\n Three <four>.\n"); got != "One two.\n\nThree <four>." {
		t.Errorf("got %q", got)
	}
}
