package swarm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// process is a member, seen from the parent. What it has said is guarded by
// the Swarm.
type process struct {
	cmd     *exec.Cmd
	job     *Job
	stdin   io.Closer
	orders  *json.Encoder
	reports *json.Decoder

	// given counts the orders.
	given     uint64
	status    Status
	heard     bool
	collected *Collected
	stopping  bool
}

// give gives an order. The Swarm sees to it that calls do not overlap.
func (p *process) give(o *Order) error {
	p.given++
	if err := p.orders.Encode(o); err != nil {
		return fmt.Errorf("process %d of the load generator: %w", p.job.Member, err)
	}
	return nil
}

// startProcess starts a member and tells it its job.
func startProcess(program string, args []string, attr *syscall.SysProcAttr, stderr io.Writer, job *Job) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr, cmd.Stderr = attr, stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a process of the load generator: %w", err)
	}
	p := &process{cmd: cmd, job: job, stdin: in, orders: json.NewEncoder(in), reports: json.NewDecoder(out)}
	if err := p.orders.Encode(job); err != nil {
		return nil, errors.Join(fmt.Errorf("a process of the load generator: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return p, nil
}

// wait waits for the end of a process that was told to.
func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("process %d of the load generator ended badly: %w", p.job.Member, err)
	}
	return nil
}
