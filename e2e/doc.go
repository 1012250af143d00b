// Package e2e tests the program as its users run it: the built binary, real
// processes, real sockets, a real disk. It owns the processes it starts and
// ends each of them by pid. It exists for its tests.
package e2e
