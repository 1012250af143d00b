// Package config holds the settings of a node: one typed struct with defaults,
// overlaid by a TOML file, then by SKEIN_* environment variables, then by
// flags. Unknown keys are an error. It persists nothing.
package config
