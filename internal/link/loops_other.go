//go:build !linux

package link

func newLoops(*Server) (loopEngine, error) { return nil, CheckEngine(EngineEpoll) }
