package remote

import (
	"bytes"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// commands are the codecs of all commands, the most frequent first. One that is
// about a session belongs into im.SessionOf and serverLink.translate too.
var commands = slices.Concat([]commandCodec{
	command(1, "Send", func(b []byte, m *im.Send) []byte {
		b = appendUint(b, 1, m.To)
		b = appendUint(b, 2, m.Device)
		b = appendUint(b, 3, m.Session)
		b = appendUint(b, 4, m.ClientSeq)
		b = appendContent(b, 5, &m.Content)
		if m.Trace != nil {
			b = appendUint(appendUint(appendUint(b, 7, m.Trace.ID), 8, m.Trace.At), 9, m.Trace.Begun)
		}
		return b
	}, func(m *im.Send, f *fields) {
		switch f.num {
		case 1:
			m.To = number[im.UserID](f)
		case 2:
			m.Device = number[im.DeviceID](f)
		case 3:
			m.Session = number[im.SessionID](f)
		case 4:
			m.ClientSeq = number[im.ClientSeq](f)
		case 5, 6:
			setContent(&m.Content, 5, f)
		case 7, 8, 9:
			setTrace(m, f)
		}
	}),
	command(2, "AckDelivered", func(b []byte, m *im.AckDelivered) []byte {
		b = appendUint(b, 1, m.Device)
		b = appendUint(b, 2, m.Session)
		return appendUint(b, 3, m.Seq)
	}, func(m *im.AckDelivered, f *fields) {
		switch f.num {
		case 1:
			m.Device = number[im.DeviceID](f)
		case 2:
			m.Session = number[im.SessionID](f)
		case 3:
			m.Seq = number[im.Seq](f)
		}
	}),
	command(3, "Attach", appendAttach, setAttach),
	command(4, "Detach", func(b []byte, m *im.Detach) []byte {
		return appendUint(b, 1, m.Session)
	}, func(m *im.Detach, f *fields) {
		if f.num == 1 {
			m.Session = number[im.SessionID](f)
		}
	}),
	command(5, "Redeliver", func(b []byte, m *im.Redeliver) []byte {
		return appendUint(appendUint(b, 1, m.Session), 2, m.Seq)
	}, func(m *im.Redeliver, f *fields) {
		switch f.num {
		case 1:
			m.Session = number[im.SessionID](f)
		case 2:
			m.Seq = number[im.Seq](f)
		}
	}),
	command(6, "SendNumbered", func(b []byte, m *im.SendNumbered) []byte {
		b = appendUint(b, 1, m.To)
		b = appendUint(b, 2, m.SendID)
		return appendContent(b, 3, &m.Content)
	}, func(m *im.SendNumbered, f *fields) {
		switch f.num {
		case 1:
			m.To = number[im.UserID](f)
		case 2:
			m.SendID = f.uint()
		case 3, 4:
			setContent(&m.Content, 3, f)
		}
	}),
	command(7, "Authenticate", func(b []byte, m *im.Authenticate) []byte {
		b = appendHash(appendUint(b, 1, m.Device), 2, &m.TokenHash)
		if m.Generation != nil {
			b = appendPresent(b, 3, *m.Generation)
		}
		return b
	}, func(m *im.Authenticate, f *fields) {
		switch f.num {
		case 1:
			m.Device = number[im.DeviceID](f)
		case 2:
			m.TokenHash = f.hash()
		case 3:
			generation := number[im.Generation](f)
			m.Generation = &generation
		}
	}),
	command(8, "CreateUser", func(b []byte, m *im.CreateUser) []byte {
		return appendBytes(b, 1, m.Name)
	}, func(m *im.CreateUser, f *fields) {
		if f.num == 1 {
			m.Name = f.string()
		}
	}),
	command(9, "CreateDevice", func(b []byte, m *im.CreateDevice) []byte {
		return appendHash(appendBytes(b, 1, m.Name), 2, &m.TokenHash)
	}, func(m *im.CreateDevice, f *fields) {
		switch f.num {
		case 1:
			m.Name = f.string()
		case 2:
			m.TokenHash = f.hash()
		}
	}),
	command(10, "RevokeDevice", func(b []byte, m *im.RevokeDevice) []byte {
		return appendUint(b, 1, m.Device)
	}, func(m *im.RevokeDevice, f *fields) {
		if f.num == 1 {
			m.Device = number[im.DeviceID](f)
		}
	}),
	empty[im.ListDevices](11, "ListDevices"),
	command(12, "Contact", func(b []byte, m *im.Contact) []byte {
		return appendBytes(appendUint(appendUint(b, 1, m.Op), 2, m.Peer), 3, m.Note)
	}, func(m *im.Contact, f *fields) {
		switch f.num {
		case 1:
			m.Op = number[im.ContactOp](f)
		case 2:
			m.Peer = number[im.UserID](f)
		case 3:
			m.Note = f.string()
		}
	}),
	empty[im.ListContacts](13, "ListContacts"),
	command(14, "Counters", func(b []byte, m *im.Counters) []byte {
		return appendUint(b, 1, m.Device)
	}, func(m *im.Counters, f *fields) {
		if f.num == 1 {
			m.Device = number[im.DeviceID](f)
		}
	}),
	command(15, "Provision", appendProvision, setProvision),
	command(16, "BindName", func(b []byte, m *im.BindName) []byte {
		return appendBytes(appendUint(appendBytes(b, 1, m.Name), 2, m.User), 3, m.PasswordHash)
	}, func(m *im.BindName, f *fields) {
		switch f.num {
		case 1:
			m.Name = f.string()
		case 2:
			m.User = number[im.UserID](f)
		case 3:
			m.PasswordHash = f.string()
		}
	}),
	command(17, "LookupName", func(b []byte, m *im.LookupName) []byte {
		return appendBytes(b, 1, m.Name)
	}, func(m *im.LookupName, f *fields) {
		if f.num == 1 {
			m.Name = f.string()
		}
	}),
	command(18, "AllocateUsers", func(b []byte, m *im.AllocateUsers) []byte {
		return appendUint(b, 1, m.Count)
	}, func(m *im.AllocateUsers, f *fields) {
		if f.num == 1 {
			m.Count = number[uint32](f)
		}
	}),
	empty[im.Tidy](48, "Tidy"),
	command(19, "timelineRead", func(b []byte, m *timelineRead) []byte {
		return appendUint(appendUint(appendUint(b, 1, m.after), 2, m.limit), 3, m.patienceMS)
	}, func(m *timelineRead, f *fields) {
		switch f.num {
		case 1:
			m.after = number[im.Seq](f)
		case 2:
			m.limit = number[uint32](f)
		case 3:
			m.patienceMS = number[uint32](f)
		}
	}),
	command(20, "conversationRead", func(b []byte, m *conversationRead) []byte {
		b = appendUint(appendUint(appendUint(b, 1, m.from), 2, m.limit), 3, m.patienceMS)
		return appendBool(b, 4, m.statement)
	}, func(m *conversationRead, f *fields) {
		switch f.num {
		case 1:
			m.from = number[im.Seq](f)
		case 2:
			m.limit = number[uint32](f)
		case 3:
			m.patienceMS = number[uint32](f)
		case 4:
			m.statement = f.bool()
		}
	}),
}, moneyCommands, regionCommands)

// timelineRead and conversationRead are the calls of im.Mailbox that read, made
// commands by what they embed, which stays nil. They are addressed to the user.
type timelineRead struct {
	im.Command
	after im.Seq
	limit uint32
	// patienceMS is how long the caller waits.
	patienceMS uint32
}

type conversationRead struct {
	im.Command
	from       im.Seq
	limit      uint32
	patienceMS uint32
	// statement: it is the statement that is read.
	statement bool
}

// A content is two fields, num and num+1.
func appendContent(b []byte, num int, c *im.Content) []byte {
	return appendBytes(appendUint(b, num, c.Type), num+1, c.Body)
}

func setContent(c *im.Content, num int, f *fields) {
	if int(f.num) == num {
		c.Type = number[im.ContentType](f)
		return
	}
	c.Body = bytes.Clone(f.bytes())
}

func appendAttach(b []byte, m *im.Attach) []byte {
	b = appendUint(b, 1, m.Device)
	b = appendHash(b, 2, &m.TokenHash)
	if m.Cursor != nil {
		b = appendPresent(b, 3, *m.Cursor)
	}
	b = appendUint(b, 4, m.Session)
	b = appendBool(b, 5, m.Poll)
	b = appendUint(b, 6, m.Login)
	if m.Resume != nil {
		b = appendNested(b, 7, func(b []byte) []byte {
			return appendUint(appendUint(b, 1, m.Resume.Session), 2, m.Resume.After)
		})
	}
	if m.Generation != nil {
		b = appendPresent(b, 8, *m.Generation)
	}
	return b
}

func setAttach(m *im.Attach, f *fields) {
	switch f.num {
	case 1:
		m.Device = number[im.DeviceID](f)
	case 2:
		m.TokenHash = f.hash()
	case 3:
		cursor := number[im.Seq](f)
		m.Cursor = &cursor
	case 4:
		m.Session = number[im.SessionID](f)
	case 5:
		m.Poll = f.bool()
	case 6:
		m.Login = f.millis()
	case 7:
		m.Resume = new(im.Resume)
		f.nest(readInto(m.Resume, f.bytes(), "Resume", setResume))
	case 8:
		generation := number[im.Generation](f)
		m.Generation = &generation
	}
}

func setResume(m *im.Resume, f *fields) {
	switch f.num {
	case 1:
		m.Session = number[im.SessionID](f)
	case 2:
		m.After = number[im.Seq](f)
	}
}

func appendProvision(b []byte, m *im.Provision) []byte {
	b = appendNumbers(b, 1, m.Friends)
	for i := range m.TokenHashes {
		b = appendElement(b, 2, m.TokenHashes[i][:])
	}
	return b
}

func setProvision(m *im.Provision, f *fields) {
	switch f.num {
	case 1:
		m.Friends = numbers(f, m.Friends)
	case 2:
		m.TokenHashes = append(m.TokenHashes, f.hash())
	}
}

func setTrace(m *im.Send, f *fields) {
	if m.Trace == nil {
		m.Trace = new(im.Trace)
	}
	switch f.num {
	case 7:
		m.Trace.ID = number[im.TraceID](f)
	case 8:
		m.Trace.At = int64(f.uint())
	case 9:
		m.Trace.Begun = int64(f.uint())
	}
}
