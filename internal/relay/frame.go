package relay

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/wire"
)

// Frames between relays are those of package wire, with types of their own.
const (
	// typeHello is the first frame of who dials, typeWelcome its answer.
	typeHello   wire.Type = 64
	typeWelcome wire.Type = 65
	// typeBatch carries messages, typeAck confirms batches.
	typeBatch wire.Type = 66
	typeAck   wire.Type = 67
	// typePlaces is from who was dialled: the addresses of its region have
	// changed. It is a greeting that has nothing else.
	typePlaces wire.Type = 68
)

const (
	// maxBatch is the most bytes of a batch before compression, unless a
	// single message has more.
	maxBatch = 256 << 10
	// maxRaw is the most a batch is unpacked to.
	maxRaw = maxBatch + im.MaxServerFrame + 1024
	// maxFrame is the most bytes of a frame: incompressible ones grow a little.
	maxFrame = maxRaw + 64<<10
	// maxGreeting is the most bytes of a Hello or Welcome.
	maxGreeting = 4 << 10
	// maxHops is how often a message is passed on to another region.
	maxHops = 1
)

// greeting is a Hello or a Welcome.
type greeting struct {
	version uint64
	places  Places
	// stream names what the numbers of batches are of; received is the last
	// one of it that has come.
	stream, received uint64
}

const version = 1

func (g *greeting) append(b []byte) []byte {
	number := func(num protowire.Number, v uint64) {
		b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
	}
	number(1, g.version)
	number(2, g.stream)
	number(3, g.received)
	for _, a := range g.places.Links {
		b = protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), a)
	}
	for _, a := range g.places.HTTP {
		b = protowire.AppendString(protowire.AppendTag(b, 5, protowire.BytesType), a)
	}
	if g.places.Alike {
		number(6, 1)
	}
	return b
}

func readGreeting(p []byte) (g greeting, err error) {
	bad := im.Errorf(im.Invalid, "malformed greeting")
	for len(p) > 0 {
		num, typ, n := protowire.ConsumeTag(p)
		if n < 0 {
			return g, bad
		}
		p = p[n:]
		var v uint64
		var s []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(p)
		case protowire.BytesType:
			s, n = protowire.ConsumeBytes(p)
		default:
			n = protowire.ConsumeFieldValue(num, typ, p)
		}
		if n < 0 {
			return g, bad
		}
		p = p[n:]
		switch num {
		case 1:
			g.version = v
		case 2:
			g.stream = v
		case 3:
			g.received = v
		case 4:
			g.places.Links = append(g.places.Links, string(s))
		case 5:
			g.places.HTTP = append(g.places.HTTP, string(s))
		case 6:
			g.places.Alike = v != 0
		}
	}
	if g.version == 0 || len(g.places.Links) > im.MaxPlaces || len(g.places.HTTP) > im.MaxPlaces {
		return g, bad
	}
	return g, nil
}

// appendMessage appends one message of a batch: its length, how often it was
// passed on, and itself.
func appendMessage(b []byte, m *entity.Message, hops uint8) []byte {
	body := remote.AppendMessage([]byte{hops}, m)
	return append(binary.AppendUvarint(b, uint64(len(body))), body...)
}

// readBatch calls take for every message of a batch.
func readBatch(raw []byte, take func(m *entity.Message, hops uint8)) error {
	for len(raw) > 0 {
		size, n := binary.Uvarint(raw)
		if n <= 0 || size == 0 || size > uint64(len(raw)-n) {
			return im.Errorf(im.Invalid, "malformed batch")
		}
		one := raw[n : n+int(size)]
		raw = raw[n+int(size):]
		m, err := remote.ReadMessage(one[1:])
		if err != nil {
			return err
		}
		take(m, one[0])
	}
	return nil
}

// packer compresses and unpacks batches.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	return &packer{enc, dec}, nil
}

func (p *packer) pack(dst, raw []byte) []byte { return p.enc.EncodeAll(raw, dst) }

func (p *packer) unpack(packed []byte) ([]byte, error) {
	raw, err := p.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, im.Errorf(im.Invalid, "a batch cannot be unpacked: %w", err)
	}
	return raw, nil
}

func (p *packer) close() {
	p.enc.Close()
	p.dec.Close()
}
