package redis

import (
	"crypto/sha1" // names scripts, as the protocol has it
	_ "embed"     // the scripts
	"encoding/hex"
)

// script is a Lua script that servers run. They keep it until they restart,
// and say so when they do not have it.
type script struct {
	text, sha string
}

//go:embed commit.lua
var commitLua string

//go:embed acquire.lua
var acquireLua string

//go:embed owner.lua
var ownerLua string

//go:embed records.lua
var recordsLua string

//go:embed entries.lua
var entriesLua string

//go:embed pending.lua
var pendingLua string

//go:embed members.lua
var membersLua string

//go:embed format.lua
var formatLua string

//go:embed touch.lua
var touchLua string

// The first line makes a server refuse a script that writes before it starts
// when memory is short, too few replicas are there or it is a replica itself,
// so that such a refusal never leaves half a commit behind.
const (
	writes = "#!lua\n"
	reads  = "#!lua flags=no-writes\n"
)

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// query is a script that only reads, and the same with a write before it, for
// reads that must wait until replicas have what they see.
type query struct{ plain, guarded *script }

func newQuery(text string) query {
	return query{plain: newScript(reads + text), guarded: newScript(writes + touchLua + text)}
}

// scripts are all that the engine runs.
type scripts struct {
	commit, acquire, owner, changeMembers, listMembers, format *script
	records, entries, pending                                  query
}

func newScripts() *scripts {
	return &scripts{
		commit: newScript(writes + commitLua), acquire: newScript(writes + acquireLua),
		owner:         newScript(reads + ownerLua),
		changeMembers: newScript(writes + membersLua), listMembers: newScript(reads + membersLua),
		format:  newScript(writes + formatLua),
		records: newQuery(recordsLua), entries: newQuery(entriesLua), pending: newQuery(pendingLua),
	}
}
