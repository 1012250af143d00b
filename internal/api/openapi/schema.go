package openapi

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const schemaPrefix = "#/components/schemas/"

// schemas collects the messages and enums that something refers to, in the
// order in which they are met.
type schemas struct {
	seen  map[protoreflect.FullName]bool
	order []protoreflect.Descriptor
}

func newSchemas() *schemas { return &schemas{seen: map[protoreflect.FullName]bool{}} }

// ref refers to a message or an enum.
func (s *schemas) ref(d protoreflect.Descriptor) object {
	if !s.seen[d.FullName()] {
		s.seen[d.FullName()] = true
		s.order = append(s.order, d)
	}
	return obj("$ref", schemaPrefix+string(d.FullName()))
}

// all describes everything that was referred to, and what that refers to.
func (s *schemas) all() (object, error) {
	var all object
	for i := 0; i < len(s.order); i++ {
		d := s.order[i]
		schema, err := s.describe(d)
		if err != nil {
			return nil, err
		}
		all = append(all, member{string(d.FullName()), schema})
	}
	return all, nil
}

func (s *schemas) describe(d protoreflect.Descriptor) (object, error) {
	switch d := d.(type) {
	case protoreflect.EnumDescriptor:
		return enum(d), nil
	case protoreflect.MessageDescriptor:
		return s.message(d)
	}
	return nil, fmt.Errorf("%s is neither message nor enum", d.FullName())
}

func (s *schemas) message(d protoreflect.MessageDescriptor) (object, error) {
	var properties object
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		schema, err := s.field(f)
		if err != nil {
			return nil, err
		}
		properties = append(properties, member{f.JSONName(), schema.with("description", comment(f))})
	}
	return obj("type", "object").with("description", comment(d)).with("properties", properties), nil
}

func (s *schemas) field(f protoreflect.FieldDescriptor) (object, error) {
	if f.IsMap() {
		return nil, fmt.Errorf("%s: maps are not described", f.FullName())
	}
	item, err := s.value(f)
	if err != nil || !f.IsList() {
		return item, err
	}
	return obj("type", "array", "items", item), nil
}

// value describes one value in the proto3 JSON mapping.
func (s *schemas) value(f protoreflect.FieldDescriptor) (object, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return s.ref(f.Message()), nil
	case protoreflect.EnumKind:
		return s.ref(f.Enum()), nil
	case protoreflect.StringKind:
		return obj("type", "string"), nil
	case protoreflect.BytesKind:
		return obj("type", "string", "contentEncoding", "base64"), nil
	case protoreflect.BoolKind:
		return obj("type", "boolean"), nil
	case protoreflect.Uint32Kind:
		return obj("type", "integer", "minimum", 0, "maximum", uint32(math.MaxUint32)), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		// Answers hold texts, since not every reader of JSON has 64 bits;
		// requests may hold either.
		return obj("type", []string{"string", "integer"}, "format", "uint64", "pattern", "^[0-9]+$", "minimum", 0), nil
	case protoreflect.Int64Kind:
		return obj("type", []string{"string", "integer"}, "format", "int64", "pattern", "^-?[0-9]+$"), nil
	}
	return nil, fmt.Errorf("%s: the kind %v is not described", f.FullName(), f.Kind())
}

// enum lists the values' names, and what their comments say about each.
func enum(d protoreflect.EnumDescriptor) object {
	names := make([]string, 0, d.Values().Len())
	text := comment(d)
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		names = append(names, string(v.Name()))
		if c := comment(v); c != "" {
			text = strings.TrimPrefix(text+"\n\n"+string(v.Name())+": "+c, "\n\n")
		}
	}
	return obj("type", "string").with("description", text).with("enum", names)
}

// comment is what stands above a declaration, without line breaks inside
// paragraphs; empty when the descriptors carry no sources.
func comment(d protoreflect.Descriptor) string {
	return paragraphs(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
}

// fileComment stands above the package declaration, whose field number in
// FileDescriptorProto is 2.
func fileComment(file protoreflect.FileDescriptor) string {
	return paragraphs(file.SourceLocations().ByPath(protoreflect.SourcePath{2}).LeadingComments)
}

func paragraphs(text string) string {
	var out []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if words := strings.Fields(p); len(words) > 0 {
			out = append(out, strings.Join(words, " "))
		}
	}
	return strings.Join(out, "\n\n")
}
