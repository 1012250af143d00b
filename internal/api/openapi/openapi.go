package openapi

import (
	"bytes"
	"fmt"
	"iter"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Services are the services of files, in order.
func Services(files []protoreflect.FileDescriptor) iter.Seq[protoreflect.ServiceDescriptor] {
	return func(yield func(protoreflect.ServiceDescriptor) bool) {
		for _, file := range files {
			for i := range file.Services().Len() {
				if !yield(file.Services().Get(i)) {
					return
				}
			}
		}
	}
}

// Generate describes all services of files, the first of which says what the
// API is. extra are messages that no method names but clients meet, like the
// details of errors.
func Generate(files []protoreflect.FileDescriptor, extra ...protoreflect.MessageDescriptor) ([]byte, error) {
	s := newSchemas()
	var tags []object
	var paths object
	for service := range Services(files) {
		tags = append(tags, obj("name", string(service.Name())).with("description", comment(service)))
		for j := range service.Methods().Len() {
			m := service.Methods().Get(j)
			op, err := operation(s, m)
			if err != nil {
				return nil, err
			}
			paths = append(paths, member{path(m), obj("post", op)})
		}
	}
	for _, m := range extra {
		s.ref(m)
	}
	components, err := s.all()
	if err != nil {
		return nil, err
	}
	doc := obj(
		"openapi", "3.1.0",
		"info", obj("title", "Skein").with("description", fileComment(files[0])).with("version", string(files[0].Package().Name())),
		"servers", []object{obj("url", "/")},
		"security", []object{obj(deviceScheme, []string{})},
		"tags", tags,
		"paths", paths,
		"components", obj(
			"schemas", append(components, errorSchemas()...),
			"responses", obj("Error", errorResponse()),
			"securitySchemes", securitySchemes(),
		),
	)
	var b bytes.Buffer
	if err := encode(&b, doc, "  "); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func path(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

func operation(s *schemas, m protoreflect.MethodDescriptor) (object, error) {
	if m.IsStreamingClient() || m.IsStreamingServer() {
		return nil, fmt.Errorf("%s: streams are not described", m.FullName())
	}
	op := obj(
		"operationId", fmt.Sprintf("%s_%s", m.Parent().Name(), m.Name()),
		"summary", string(m.Name()),
		"tags", []string{string(m.Parent().Name())},
	).with("description", comment(m))
	if scheme := schemeOf(m); scheme != deviceScheme {
		op = append(op, member{"security", requirement(scheme)})
	}
	return append(op, obj(
		"requestBody", obj("required", true, "content", jsonContent(s.ref(m.Input()))),
		"responses", obj(
			"200", obj("description", "Done.", "content", jsonContent(s.ref(m.Output()))),
			"default", obj("$ref", "#/components/responses/Error"),
		),
	)...), nil
}

func jsonContent(schema object) object {
	return obj("application/json", obj("schema", schema))
}

// Names of security schemes.
const (
	deviceScheme   = "device"
	operatorScheme = "operator"
)

// schemeOf is which token a method asks for; empty: none. The schema's comments
// say so in words; package api's table decides, and its tests compare.
func schemeOf(m protoreflect.MethodDescriptor) string {
	switch {
	case m.Parent().Name() == "AdminService" || m.Parent().Name() == "TreasuryService":
		return operatorScheme
	case m.Name() == "Register" || m.Name() == "Login":
		return ""
	}
	return deviceScheme
}

func requirement(scheme string) []object {
	if scheme == "" {
		return []object{}
	}
	return []object{obj(scheme, []string{})}
}

func securitySchemes() object {
	return obj(
		deviceScheme, obj("type", "http", "scheme", "bearer",
			"description", "The token that Register or Login returned."),
		operatorScheme, obj("type", "http", "scheme", "bearer",
			"description", "The content of operator.token in the data directory."),
	)
}

func errorResponse() object {
	return obj(
		"description", "The request failed. Programs decode the detail of type skein.v1.Error; a request that could "+
			"not be read at all is answered without it.",
		"headers", obj("Retry-After", obj(
			"description", "Seconds to wait, with resource_exhausted (busy) and unavailable.",
			"schema", obj("type", "integer", "minimum", 1))),
		"content", jsonContent(obj("$ref", schemaPrefix+errorSchema)),
	)
}

const (
	errorSchema  = "connect.Error"
	detailSchema = "connect.ErrorDetail"
)

// errorSchemas describe the errors of the Connect protocol.
func errorSchemas() object {
	codes := []string{
		"canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
		"permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range",
		"unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
	}
	text := obj("type", "string")
	return obj(
		errorSchema, obj(
			"type", "object",
			"description", "An error of the Connect protocol.",
			"required", []string{"code"},
			"properties", obj(
				"code", obj("type", "string", "enum", codes),
				"message", text.with("description", "What happened and what to do, for people."),
				"details", obj("type", "array", "items", obj("$ref", schemaPrefix+detailSchema)))),
		detailSchema, obj(
			"type", "object",
			"required", []string{"type", "value"},
			"properties", obj(
				"type", text.with("description", "The full name of a message: skein.v1.Error."),
				"value", text.with("contentEncoding", "base64").with("description", "The message, as protobuf in base64 without padding."),
				"debug", obj("description", "The message as JSON; for reading."))),
	)
}
