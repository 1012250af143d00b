package client

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/im"
)

// Caller makes single requests of the HTTP API: an API over HTTP, a Client
// over its link.
type Caller interface {
	Call(ctx context.Context, method string, req, resp proto.Message) error
}

// Methods are the requests of the HTTP API, by whichever way a Caller makes
// them. proto/skein/v1/api.proto documents each.
type Methods struct{ caller Caller }

// Register creates a user and a first device, whose token it returns.
func (m Methods) Register(ctx context.Context, name, password, deviceName string) (*skeinv1.RegisterResponse, error) {
	res := new(skeinv1.RegisterResponse)
	return res, m.caller.Call(ctx, rpc.AccountServiceRegisterProcedure,
		&skeinv1.RegisterRequest{Name: name, Password: password, DeviceName: deviceName}, res)
}

// Login creates a device and returns its token.
func (m Methods) Login(ctx context.Context, name, password, deviceName string) (*skeinv1.LoginResponse, error) {
	res := new(skeinv1.LoginResponse)
	return res, m.caller.Call(ctx, rpc.AccountServiceLoginProcedure,
		&skeinv1.LoginRequest{Name: name, Password: password, DeviceName: deviceName}, res)
}

// Logout makes this device's token useless, and ends a Client that it is
// called on.
func (m Methods) Logout(ctx context.Context) error {
	err := m.caller.Call(ctx, rpc.AccountServiceLogoutProcedure, &skeinv1.LogoutRequest{}, new(skeinv1.LogoutResponse))
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == CloseRevoked {
		// The link was cut before the answer had left: that is the answer.
		return nil
	}
	return err
}

// Devices lists the devices that are logged in.
func (m Methods) Devices(ctx context.Context) ([]*skeinv1.Device, error) {
	res := new(skeinv1.ListDevicesResponse)
	err := m.caller.Call(ctx, rpc.AccountServiceListDevicesProcedure, &skeinv1.ListDevicesRequest{}, res)
	return res.GetDevices(), err
}

// RevokeDevice logs a device out.
func (m Methods) RevokeDevice(ctx context.Context, device DeviceID) error {
	return m.caller.Call(ctx, rpc.AccountServiceRevokeDeviceProcedure,
		&skeinv1.RevokeDeviceRequest{Device: uint32(device)}, new(skeinv1.RevokeDeviceResponse))
}

// LookupUser finds a user by name. The name comes back as it was registered.
func (m Methods) LookupUser(ctx context.Context, name string) (UserID, string, error) {
	res := new(skeinv1.LookupUserResponse)
	err := m.caller.Call(ctx, rpc.AccountServiceLookupUserProcedure, &skeinv1.LookupUserRequest{Name: name}, res)
	return UserID(res.GetUser()), res.GetName(), err
}

// Contacts lists everyone the user has dealings with.
func (m Methods) Contacts(ctx context.Context) ([]*skeinv1.Contact, error) {
	res := new(skeinv1.ListContactsResponse)
	err := m.caller.Call(ctx, rpc.ContactServiceListProcedure, &skeinv1.ListContactsRequest{}, res)
	return res.GetContacts(), err
}

// RequestContact asks another user to become a contact.
func (m Methods) RequestContact(ctx context.Context, user UserID, note string) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceRequestProcedure, user, note)
}

// AcceptContact accepts another user's request.
func (m Methods) AcceptContact(ctx context.Context, user UserID) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceAcceptProcedure, user, "")
}

// RefuseContact refuses another user's request.
func (m Methods) RefuseContact(ctx context.Context, user UserID) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceRefuseProcedure, user, "")
}

// RemoveContact ends a friendship, or withdraws a request.
func (m Methods) RemoveContact(ctx context.Context, user UserID) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceRemoveProcedure, user, "")
}

// BlockContact removes another user and refuses whatever they send.
func (m Methods) BlockContact(ctx context.Context, user UserID) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceBlockProcedure, user, "")
}

// UnblockContact ends a block.
func (m Methods) UnblockContact(ctx context.Context, user UserID) (*skeinv1.Contact, error) {
	return m.contact(ctx, rpc.ContactServiceUnblockProcedure, user, "")
}

func (m Methods) contact(ctx context.Context, method string, user UserID, note string) (*skeinv1.Contact, error) {
	res := new(skeinv1.ContactResponse)
	err := m.caller.Call(ctx, method, &skeinv1.ContactRequest{User: uint64(user), Note: note}, res)
	return res.GetContact(), err
}

// History pages backwards through one conversation, newest first. before is
// where the last page ended, 0 for the newest; next is what to pass for the
// page before, 0 when there is none. limit is at most 200; 0: 50.
func (m Methods) History(ctx context.Context, peer UserID, before Seq, limit int) (entries []Entry, next Seq, err error) {
	res := new(skeinv1.HistoryResponse)
	err = m.caller.Call(ctx, rpc.MessageServiceHistoryProcedure,
		&skeinv1.HistoryRequest{Peer: uint64(peer), Before: uint64(before), Limit: uint32(max(0, limit))}, res)
	return entriesOf(res.GetEntries()), Seq(res.GetBefore()), err
}

// Counters are the user's counters.
func (m Methods) Counters(ctx context.Context) (*skeinv1.CountersResponse, error) {
	res := new(skeinv1.CountersResponse)
	return res, m.caller.Call(ctx, rpc.MessageServiceCountersProcedure, &skeinv1.CountersRequest{}, res)
}

func entriesOf(list []*skeinv1.Entry) []Entry {
	entries := make([]Entry, 0, len(list))
	for _, e := range list {
		entries = append(entries, Entry{
			Seq: Seq(e.GetSeq()), Kind: EntryKind(e.GetKind()), Peer: UserID(e.GetPeer()), Outgoing: e.GetOutgoing(),
			Time: timeOf(im.Millis(e.GetTimeMs())), PairID: e.GetPairId(),
			Device: DeviceID(e.GetDevice()), ClientSeq: ClientSeq(e.GetClientSeq()),
			Content: Content{Type: ContentType(e.GetContent().GetType()), Body: e.GetContent().GetBody()},
			Contact: ContactEvent(e.GetContact()), Refusal: ErrorKind(e.GetRefusal()), Money: moneyOfProto(e.GetMoney()),
		})
	}
	return entries
}
