// Command gen writes the OpenAPI description of the HTTP API from a set of
// file descriptors with source information, as buf build makes it. It keeps
// nothing and is part of scripts/generate.sh; nothing imports it.
package main

import (
	"flag"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/skein-im/skein/internal/api/openapi"
)

func main() {
	in := flag.String("in", "", "set of file descriptors, with source information")
	out := flag.String("out", "", "where to write the description")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	raw, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("%s is no set of file descriptors: %w", in, err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return err
	}
	var described []protoreflect.FileDescriptor
	for _, path := range []string{"skein/v1/api.proto", "skein/v1/money.proto"} {
		file, err := files.FindFileByPath(path)
		if err != nil {
			return err
		}
		described = append(described, file)
	}
	detail, err := files.FindDescriptorByName("skein.v1.Error")
	if err != nil {
		return err
	}
	doc, err := openapi.Generate(described, detail.(protoreflect.MessageDescriptor))
	if err != nil {
		return err
	}
	return os.WriteFile(out, doc, 0o644)
}
