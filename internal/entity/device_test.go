package entity

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func created(t tester, a *actor, token byte) im.DeviceID {
	t.Helper()
	return a.must(&im.CreateDevice{Name: fmt.Sprint("device ", token), TokenHash: [32]byte{token}}).(*im.DeviceCreated).Device
}

func TestCreateUser(t *testing.T) {
	a := newActor(t, im.User(1))
	a.refuses(&im.CreateUser{Name: "no spaces"}, im.Invalid)
	a.refuses(&im.CreateUser{Name: "\xff"}, im.Invalid)
	a.refuses(&im.CreateDevice{TokenHash: [32]byte{1}}, im.NotFound)
	for range 2 {
		a.must(&im.CreateUser{Name: "alice"})
		a.refuses(&im.CreateUser{Name: "bob"}, im.AlreadyExists)
		a.refuses(&im.Provision{}, im.AlreadyExists)
		a.restart()
	}
	if d := created(t, a, 7); d != 1 {
		t.Fatalf("the first device is %d", d)
	}
	at := a.must(&im.Authenticate{Device: 1, TokenHash: [32]byte{7}}).(*im.Attached)
	if at.Name != "alice" {
		t.Fatalf("got %+v", at)
	}
}

func TestAuthenticate(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "x"))
	for range 2 {
		at := a.must(&im.Authenticate{Device: 1, TokenHash: [32]byte{1}}).(*im.Attached)
		if *at != (im.Attached{Head: 1, ClientSeq: 1}) {
			t.Fatalf("got %+v", at)
		}
		a.refuses(&im.Authenticate{Device: 1, TokenHash: [32]byte{2}}, im.Unauthenticated)
		a.refuses(&im.Authenticate{Device: 3, TokenHash: [32]byte{1}}, im.Unauthenticated)
		a.refuses(&im.Authenticate{Device: 0}, im.Unauthenticated)
		a.restart()
	}
}

func TestAttach(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for n := range im.LinkSeq(5) {
		a.receive(chat(2, n+1))
	}
	attach := func(cursor *im.Seq) *im.Attached {
		t.Helper()
		return a.must(&im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: cursor}).(*im.Attached)
	}
	at := func(seq im.Seq) *im.Seq { return &seq }
	if got := attach(nil); got.Cursor != 0 || got.Head != 5 {
		t.Fatalf("without a cursor: %+v", got)
	}
	// A device that has entry 3 needs no other ack for it.
	if got := attach(at(3)); got.Cursor != 3 {
		t.Fatalf("with cursor 3: %+v", got)
	}
	if got := attach(nil); got.Cursor != 3 {
		t.Fatalf("without a cursor, after 3: %+v", got)
	}
	// One that lost its storage starts where it says, and takes nothing back.
	if got := attach(at(1)); got.Cursor != 1 {
		t.Fatalf("with cursor 1: %+v", got)
	}
	a.snapshot()
	a.restart()
	if got := attach(nil); got.Cursor != 3 {
		t.Fatalf("without a cursor, after a restart: %+v", got)
	}
	a.refuses(&im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: at(6)}, im.Invalid)
	a.refuses(&im.Attach{Device: 1, TokenHash: [32]byte{2}}, im.Unauthenticated)
	if c := a.must(&im.Counters{}).(*im.CountersInfo); c.ClientRecvID != 3 {
		t.Fatalf("counters %+v", c)
	}
}

func TestAckDelivered(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.receive(chat(2, 1))
	a.must(send(2, 1, "x"))
	a.receive(chat(2, 2))
	cursors := func() (list []im.Seq) {
		for _, d := range a.must(&im.ListDevices{}).([]im.DeviceInfo) {
			list = append(list, d.Cursor)
		}
		return list
	}
	for _, step := range []struct {
		device im.DeviceID
		seq    im.Seq
		want   []im.Seq
		recv   uint64
	}{
		{1, 2, []im.Seq{2, 0}, 1}, {2, 1, []im.Seq{2, 1}, 1}, {1, 1, []im.Seq{2, 1}, 1}, {2, 3, []im.Seq{2, 3}, 2}, {1, 3, []im.Seq{3, 3}, 2},
	} {
		a.must(&im.AckDelivered{Device: step.device, Seq: step.seq})
		if got := cursors(); !slices.Equal(got, step.want) {
			t.Fatalf("cursors %v, want %v", got, step.want)
		}
		if !a.ent.Status().Dirty && step.seq == 3 {
			t.Fatal("the cursor would never be written")
		}
		a.snapshot()
		if c := a.must(&im.Counters{}).(*im.CountersInfo); c.ClientRecvID != step.recv {
			t.Fatalf("device %d has %d: %+v", step.device, step.seq, c)
		}
	}
	a.refuses(&im.AckDelivered{Device: 1, Seq: 4}, im.Invalid)
	a.refuses(&im.AckDelivered{Device: 3, Seq: 1}, im.Unauthenticated)
}

func TestCreateDevice(t *testing.T) {
	a := newUserActor(t, 1)
	if d := created(t, a, 3); d != 3 {
		t.Fatalf("device %d", d)
	}
	a.restart()
	// The same token is the same device, so a repeated request is safe.
	if d := created(t, a, 3); d != 3 {
		t.Fatalf("repeated: device %d", d)
	}
	a.refuses(&im.CreateDevice{Name: strings.Repeat("x", im.MaxDeviceName+1), TokenHash: [32]byte{4}}, im.Invalid)
	a.refuses(&im.CreateDevice{Name: "\xff", TokenHash: [32]byte{4}}, im.Invalid)
	for i := len(a.must(&im.ListDevices{}).([]im.DeviceInfo)); i < im.MaxDevices; i++ {
		created(t, a, byte(i+1))
	}
	a.refuses(&im.CreateDevice{TokenHash: [32]byte{200}}, im.TooLarge)
	a.must(&im.RevokeDevice{Device: 1})
	if d := created(t, a, 200); d != im.MaxDevices+1 {
		t.Fatalf("device %d", d)
	}
}

func TestRevokeDevice(t *testing.T) {
	a := newUserActor(t, 1, 2)
	cmd := send(2, 1, "x")
	cmd.Device = 2
	a.must(cmd)
	for range 3 {
		a.kicks = nil
		a.must(&im.RevokeDevice{Device: 2})
		if len(a.kicks) != 1 || a.kicks[0].Device != 2 || a.kicks[0].Code != im.CloseRevoked {
			t.Fatalf("kicks %+v", a.kicks)
		}
		a.refuses(cmd, im.Unauthenticated)
		a.refuses(&im.Authenticate{Device: 2, TokenHash: [32]byte{2}}, im.Unauthenticated)
		a.refuses(&im.Attach{Device: 2}, im.Unauthenticated)
		a.refuses(&im.AckDelivered{Device: 2, Seq: 1}, im.Unauthenticated)
		if list := a.must(&im.ListDevices{}).([]im.DeviceInfo); len(list) != 1 || list[0].Device != 1 {
			t.Fatalf("devices %+v", list)
		}
		a.restart()
	}
	a.refuses(&im.RevokeDevice{Device: 9}, im.NotFound)
	a.refuses(&im.RevokeDevice{Device: 0}, im.NotFound)
	a.must(send(2, 1, "from the other device"))
}

// Devices that come and go leave nothing behind, and no number comes twice.
func TestRevokedDevicesAreForgotten(t *testing.T) {
	a := newUserActor(t, 1)
	records := len(a.records)
	last := im.DeviceID(2)
	for i := range 100 {
		d := created(t, a, byte(i+10))
		if d != last+1 {
			t.Fatalf("device %d follows %d", d, last)
		}
		last = d
		if i%7 == 0 {
			a.restart()
		}
		a.must(&im.RevokeDevice{Device: d})
		a.must(&im.RevokeDevice{Device: d - 1})
		a.must(&im.RevokeDevice{Device: 2})
		if i%5 == 0 {
			a.restart()
		}
	}
	if len(a.records) > records {
		t.Fatalf("%d records, %d before", len(a.records), records)
	}
	a.refuses(&im.RevokeDevice{Device: last + 1}, im.NotFound)
}

func TestProvision(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	a.must(send(2, 1, "x"))
	cmd := &im.Provision{Friends: []im.UserID{2, 3, 4}, TokenHashes: [][32]byte{{1}, {2}, {3}}}
	for range 3 {
		a.must(cmd)
		a.must(&im.Authenticate{Device: 3, TokenHash: [32]byte{3}})
		c := a.must(&im.Counters{Device: 1}).(*im.CountersInfo)
		if fmt.Sprint(c.Friends) != "[2 3 4]" || c.SendID != 1 || c.ClientSeq != 1 {
			t.Fatalf("counters %+v", c)
		}
		a.must(send(2, 1, "x"))
		a.restart()
	}
	a.refuses(&im.Provision{Friends: []im.UserID{1}}, im.Invalid)
	a.refuses(&im.Provision{Friends: []im.UserID{0}}, im.Invalid)
	a.refuses(&im.Provision{Friends: make([]im.UserID, im.MaxContacts+1)}, im.TooLarge)
	a.refuses(&im.Provision{TokenHashes: make([][32]byte, im.MaxDevices+1)}, im.TooLarge)
	many := make([]im.UserID, im.MaxContacts)
	for i := range many {
		many[i] = im.UserID(i + 100)
	}
	a.refuses(&im.Provision{Friends: many}, im.TooLarge)
	if a.must(&im.Counters{}).(*im.CountersInfo).SendID != 1 {
		t.Fatal("a refused provisioning left something")
	}
}

// A revoked device stays revoked when it is provisioned again.
func TestProvisionRevoked(t *testing.T) {
	a := newUserActor(t, 1)
	a.must(&im.RevokeDevice{Device: 1})
	a.must(&im.Provision{TokenHashes: [][32]byte{{1}, {2}}})
	a.refuses(&im.Authenticate{Device: 1, TokenHash: [32]byte{1}}, im.Unauthenticated)
	a.must(&im.Authenticate{Device: 2, TokenHash: [32]byte{2}})
}

func TestUnknownCommands(t *testing.T) {
	a := newUserActor(t, 1)
	a.refuses(&im.LookupName{}, im.Unimplemented)
	a.refuses(nil, im.Unimplemented)
	nobody := newActor(t, im.User(2))
	for _, cmd := range []im.Command{&im.Counters{}, &im.ListContacts{}, &im.ListDevices{}, &im.Attach{}, contact(im.ContactRequest, 3), &im.RevokeDevice{Device: 1}} {
		nobody.refuses(cmd, im.NotFound)
	}
	if len(nobody.log)+len(nobody.records) > 0 {
		t.Fatal("a user that does not exist has left something")
	}
}
