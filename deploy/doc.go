// Package deploy has no code: beside it are the files that put Skein on
// machines, and its tests hold them against the settings, the commands and
// systemd. What needs large libraries (Helm, Compose, the Dockerfile's parser) is
// tested by the module in check, whose rendered manifests are read here.
package deploy
