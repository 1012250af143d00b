//go:build !linux

package doctor

import "errors"

func fileSystem(string) (Space, error) { return Space{}, errors.ErrUnsupported }

func clockSynchronized() (bool, error) { return false, errors.ErrUnsupported }
