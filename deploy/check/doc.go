// Package check renders and lints the Helm chart, decodes what comes out as
// Kubernetes would, and reads the compose files and the Dockerfile with the
// libraries of their makers. It is a module of its own, so that those are no
// dependencies of Skein.
//
// Its testdata are rendered manifests: 'go test . -update' writes them, and the
// tests of package deploy hold the settings in them against Skein's.
package check
