package pebble

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble takes the first record of its manifest that it cannot read for one
// that a crash cut off, and goes on with those before it. If the record was
// damaged instead, that is an old state of the database; Pebble would then
// delete the tables it does not know of. So look first whether a whole record
// follows one that cannot be read: Pebble syncs each before it writes the
// next, so no crash leaves that behind.

const (
	manifestBlock  = 32 << 10
	manifestHeader = 7 // checksum (4), length (2), kind (1)
	// Kinds of the chunks that records are cut into, of which the others
	// are 3 and 4.
	chunkWhole = 1
	chunkFirst = 2
	chunkLast  = 4
)

// maxManifest is the size at which Pebble begins a new manifest, which bounds
// the time to check one.
const maxManifest = 16 << 20

// checkManifest refuses a database whose manifest is damaged in the middle.
func checkManifest(fsys vfs.FS, dir string) error {
	desc, err := pebbledb.Peek(dir, fsys)
	if err != nil || !desc.Exists {
		return err
	}
	f, err := fsys.Open(desc.ManifestFilename)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if at := damagedAt(data); at >= 0 {
		return corruptf("%s is damaged at byte %d", desc.ManifestFilename, at)
	}
	return nil
}

// damagedAt finds the first chunk that cannot be read although a record
// begins after it; -1: there is none.
func damagedAt(manifest []byte) int {
	pos := 0
	for pos < len(manifest) {
		n := chunkAt(manifest, pos, chunkLast)
		if n == 0 {
			break
		}
		if pos += n; manifestBlock-pos%manifestBlock < manifestHeader {
			pos += manifestBlock - pos%manifestBlock // zeros fill the block
		}
	}
	for next := pos + 1; next < len(manifest); next++ {
		if chunkAt(manifest, next, chunkFirst) > 0 {
			return pos
		}
	}
	return -1
}

// chunkAt is the size of the chunk at a position, if a whole one of kind 1 to
// maxKind is there; otherwise 0.
func chunkAt(manifest []byte, pos int, maxKind byte) int {
	block := manifest[pos:min(len(manifest), pos-pos%manifestBlock+manifestBlock)]
	if len(block) < manifestHeader || block[6] < chunkWhole || block[6] > maxKind {
		return 0
	}
	n := manifestHeader + int(binary.LittleEndian.Uint16(block[4:]))
	if n > len(block) || binary.LittleEndian.Uint32(block) != checksum(block[6:n]) {
		return 0
	}
	return n
}

// checksum is the one of LevelDB's log format: CRC-32C, rotated and offset.
func checksum(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
