// Package docs holds the documents that programs serve. It owns the files
// beside it, imports nothing and persists nothing.
package docs

import _ "embed"

// OpenAPI is openapi.json, which describes the HTTP API. It is generated from
// proto/ and must not be changed.
//
//go:embed openapi.json
var OpenAPI []byte
