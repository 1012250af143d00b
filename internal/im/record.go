package im

// Record is one key of an entity and its value. Keys have 1 to 64 bytes.
type Record struct {
	Key   string
	Value []byte
}

// LogEntry is one entry of an entity's log.
type LogEntry struct {
	Seq   Seq
	Value []byte
}
