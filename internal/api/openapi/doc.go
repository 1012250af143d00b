// Package openapi writes the OpenAPI 3.1 description of the HTTP API from the
// descriptors of its schema: every method is a POST that takes and returns
// JSON in the proto3 mapping, and the comments of the schema are the
// descriptions.
//
// It owns no state and persists nothing. The description is made by
// scripts/generate.sh, committed as docs/openapi.json and embedded by package
// docs, so that a running server needs neither the generator nor the schema's
// sources. The same descriptors always give the same bytes.
package openapi
