package api

import (
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

func TestAccountLife(t *testing.T) {
	for name, codec := range codecs() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			srv := f.server(t, nil)
			nobody := dial(srv, "", codec...)
			reg, err := nobody.Register(t.Context(), connect.NewRequest(&skeinv1.RegisterRequest{Name: "Ann", Password: password, DeviceName: "phone"}))
			if err != nil {
				t.Fatal(err)
			}
			login, err := nobody.Login(t.Context(), connect.NewRequest(&skeinv1.LoginRequest{Name: "ann", Password: password, DeviceName: "desk"}))
			if err != nil {
				t.Fatal(err)
			}
			if login.Msg.User != reg.Msg.User || login.Msg.Device != 2 || login.Msg.Token == reg.Msg.Token {
				t.Errorf("registered %v, logged in %v", reg.Msg, login.Msg)
			}
			ann := dial(srv, reg.Msg.Token, codec...)
			devices, err := ann.ListDevices(t.Context(), connect.NewRequest(&skeinv1.ListDevicesRequest{}))
			if err != nil {
				t.Fatal(err)
			}
			if d := devices.Msg.Devices; len(d) != 2 || d[0].Name != "phone" || !d[0].Current || d[1].Name != "desk" || d[1].Current {
				t.Errorf("devices %v", d)
			}
			found, err := ann.LookupUser(t.Context(), connect.NewRequest(&skeinv1.LookupUserRequest{Name: "ANN"}))
			if err != nil || found.Msg.User != reg.Msg.User || found.Msg.Name != "Ann" {
				t.Errorf("LookupUser: %v, %v", found, err)
			}
		})
	}
}

func TestRevocationIsEffectiveAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	first := dial(srv, register(t, srv, "ann").Token)
	second := dial(srv, register(t, srv, "ann").Token)
	must(t)(second.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{})))
	must(t)(first.RevokeDevice(t.Context(), connect.NewRequest(&skeinv1.RevokeDeviceRequest{Device: 2})))
	_, err := second.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))
	wantError(t, "a revoked device", err, connect.CodeUnauthenticated, im.Unauthenticated)

	_, err = first.RevokeDevice(t.Context(), connect.NewRequest(&skeinv1.RevokeDeviceRequest{Device: 9}))
	wantError(t, "revoking what is not there", err, connect.CodeNotFound, im.NotFound)
	_, err = first.RevokeDevice(t.Context(), connect.NewRequest(&skeinv1.RevokeDeviceRequest{}))
	wantError(t, "revoking device 0", err, connect.CodeInvalidArgument, im.Invalid)

	must(t)(first.Logout(t.Context(), connect.NewRequest(&skeinv1.LogoutRequest{})))
	_, err = first.Logout(t.Context(), connect.NewRequest(&skeinv1.LogoutRequest{}))
	wantError(t, "a device that has logged out", err, connect.CodeUnauthenticated, im.Unauthenticated)
}

func TestCredentials(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	ann := register(t, srv, "ann")
	for name, token := range map[string]string{
		"none":         "",
		"malformed":    "sk_AAAA",
		"wrong secret": account.Token(im.UserID(ann.User), im.DeviceID(ann.Device), account.Secret{}),
		"unknown user": account.Token(77, 1, account.Secret{}),
		"the operator": operatorToken,
	} {
		_, err := dial(srv, token).Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))
		wantError(t, name, err, connect.CodeUnauthenticated, im.Unauthenticated)
		_, err = dial(srv, token, connect.WithProtoJSON()).Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))
		wantError(t, name+" with JSON", err, connect.CodeUnauthenticated, im.Unauthenticated)
	}
	_, err := dial(srv, "").Login(t.Context(), connect.NewRequest(&skeinv1.LoginRequest{Name: "ann", Password: "wrong password"}))
	wantError(t, "wrong password", err, connect.CodeUnauthenticated, im.Unauthenticated)
	_, unknown := dial(srv, "").Login(t.Context(), connect.NewRequest(&skeinv1.LoginRequest{Name: "nobody", Password: password}))
	if unknown == nil || err.Error() != unknown.Error() {
		t.Errorf("wrong password: %v; unknown name: %v", err, unknown)
	}
	_, err = dial(srv, "").Register(t.Context(), connect.NewRequest(&skeinv1.RegisterRequest{Name: "ann", Password: "wrong password"}))
	wantError(t, "taken name", err, connect.CodeAlreadyExists, im.AlreadyExists)
	_, err = dial(srv, "").Register(t.Context(), connect.NewRequest(&skeinv1.RegisterRequest{Name: "a b", Password: password}))
	wantError(t, "impossible name", err, connect.CodeInvalidArgument, im.Invalid)
}

func TestAuthorizationHeaderForms(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token := register(t, srv, "ann").Token
	for header, want := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, "BEARER   " + token: 200,
		"Basic " + token: 401, token: 401, "Bearer": 401, "Bearer " + token + " x": 401, "": 401,
	} {
		res := post(t, srv, "/skein.v1.MessageService/Counters", "", "{}", "Authorization", header)
		if res.StatusCode != want {
			t.Errorf("Authorization: %.10s...: status %d, want %d", header, res.StatusCode, want)
		}
		if want == 401 && res.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("Authorization: %.10s...: no WWW-Authenticate", header)
		}
	}
}

func TestContactLife(t *testing.T) {
	for name, codec := range codecs() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			srv := f.server(t, nil)
			ra, rb := register(t, srv, "ann"), register(t, srv, "bob")
			ann, bob := dial(srv, ra.Token, codec...), dial(srv, rb.Token, codec...)
			toBob := &skeinv1.ContactRequest{User: rb.User, Note: "hello, I am Ann"}
			toAnn := &skeinv1.ContactRequest{User: ra.User}

			c := must(t)(ann.Request(t.Context(), connect.NewRequest(toBob))).(*skeinv1.ContactResponse).Contact
			if c.User != rb.User || c.State != skeinv1.ContactState_CONTACT_STATE_REQUESTED {
				t.Errorf("asked: %v", c)
			}
			list := must(t)(bob.List(t.Context(), connect.NewRequest(&skeinv1.ListContactsRequest{}))).(*skeinv1.ListContactsResponse).Contacts
			if len(list) != 1 || list[0].User != ra.User || list[0].Note != "hello, I am Ann" || list[0].State != skeinv1.ContactState_CONTACT_STATE_INCOMING {
				t.Errorf("bob sees %v", list)
			}
			c = must(t)(bob.Accept(t.Context(), connect.NewRequest(toAnn))).(*skeinv1.ContactResponse).Contact
			if c.State != skeinv1.ContactState_CONTACT_STATE_FRIENDS {
				t.Errorf("accepted: %v", c)
			}
			c = must(t)(bob.Block(t.Context(), connect.NewRequest(toAnn))).(*skeinv1.ContactResponse).Contact
			if !c.Blocked || c.State != skeinv1.ContactState_CONTACT_STATE_UNSPECIFIED {
				t.Errorf("blocked: %v", c)
			}
			_, err := bob.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: ra.User, Content: text("hi")}))
			wantError(t, "writing to whom one blocks", err, connect.CodePermissionDenied, im.Blocked)
			_, err = ann.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: rb.User, Content: text("hi")}))
			wantError(t, "writing to a stranger", err, connect.CodePermissionDenied, im.NotContact)
			c = must(t)(bob.Unblock(t.Context(), connect.NewRequest(toAnn))).(*skeinv1.ContactResponse).Contact
			if c.Blocked {
				t.Errorf("unblocked: %v", c)
			}
			must(t)(ann.Request(t.Context(), connect.NewRequest(toBob)))
			must(t)(bob.Refuse(t.Context(), connect.NewRequest(toAnn)))
			must(t)(ann.Remove(t.Context(), connect.NewRequest(&skeinv1.ContactRequest{User: rb.User})))
		})
	}
}

func TestContactRequestsAreChecked(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	reg := register(t, srv, "ann")
	ann := dial(srv, reg.Token)
	long := string(make([]byte, im.MaxNote+1))
	for name, c := range map[string]struct {
		req  *skeinv1.ContactRequest
		code connect.Code
		kind im.ErrorKind
	}{
		"nobody":        {&skeinv1.ContactRequest{}, connect.CodeInvalidArgument, im.Invalid},
		"oneself":       {&skeinv1.ContactRequest{User: reg.User}, connect.CodeInvalidArgument, im.Invalid},
		"beyond 2^53":   {&skeinv1.ContactRequest{User: 1 << 53}, connect.CodeInvalidArgument, im.Invalid},
		"unknown":       {&skeinv1.ContactRequest{User: 77}, connect.CodeNotFound, im.NotFound},
		"too long note": {&skeinv1.ContactRequest{User: 77, Note: long}, connect.CodeResourceExhausted, im.TooLarge},
	} {
		_, err := ann.Request(t.Context(), connect.NewRequest(c.req))
		wantError(t, name, err, c.code, c.kind)
	}
	_, err := ann.Accept(t.Context(), connect.NewRequest(&skeinv1.ContactRequest{User: 77, Note: "x"}))
	wantError(t, "a note where none belongs", err, connect.CodeInvalidArgument, im.Invalid)
}
