package node

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// processSample are the resources that one process uses. Numbers of type uint64
// count; see telemetry.AddCounters.
type processSample struct {
	PID        int    `json:"pid"`
	Goroutines int    `json:"goroutines"`
	Heap       int    `json:"heap"`
	Resident   int    `json:"resident"`
	GCs        uint64 `json:"gcs"`
	// GCPause and CPU are in nanoseconds.
	GCPause uint64 `json:"gc_pause"`
	CPU     uint64 `json:"cpu"`
}

func sampleProcess() processSample {
	values := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(values)
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	return processSample{
		PID: os.Getpid(), Resident: residentBytes(), GCPause: uint64(gc.PauseTotal), CPU: uint64(cpuTime()),
		Goroutines: int(values[0].Value.Uint64()), Heap: int(values[1].Value.Uint64()), GCs: values[2].Value.Uint64(),
	}
}

// residentBytes is the memory that the process has; 0 where the system does not
// tell in Linux's way.
func residentBytes() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}

// addProcess exports what processes use; those of workers are added.
func addProcess[S any](c *collector[S], read func(*S) *processSample) {
	c.gauge("skein_processes", "Processes of this node that answer: the first one and its workers.", func(s *S) float64 { return truth(read(s).PID != 0) })
	c.gauge("skein_goroutines", "Goroutines of this node's processes.", func(s *S) float64 { return float64(read(s).Goroutines) })
	c.gauge("skein_memory_heap_bytes", "Memory in use on the heaps of this node's processes.", func(s *S) float64 { return float64(read(s).Heap) })
	c.gauge("skein_memory_resident_bytes", "Resident memory of this node's processes.", func(s *S) float64 { return float64(read(s).Resident) })
	c.count("skein_gc_cycles_total", "Garbage collections of this node's processes.", func(s *S) float64 { return float64(read(s).GCs) })
	c.count("skein_gc_pause_seconds_total", "Time for which garbage collections have stopped this node's processes.", func(s *S) float64 { return float64(read(s).GCPause) / 1e9 })
	c.count("skein_cpu_seconds_total", "Processor time of this node's processes.", func(s *S) float64 { return float64(read(s).CPU) / 1e9 })
}
