package api

import (
	"context"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

func (a *API) register(ctx context.Context, who *caller, req *skeinv1.RegisterRequest) (*skeinv1.RegisterResponse, error) {
	g, err := a.cfg.Accounts.Register(ctx, account.Credentials{
		Name: req.Name, Password: req.Password, DeviceName: req.DeviceName, Remote: who.remote,
	})
	if err != nil {
		return nil, err
	}
	return &skeinv1.RegisterResponse{User: uint64(g.User), Device: uint32(g.Device), Token: g.Token}, nil
}

func (a *API) login(ctx context.Context, who *caller, req *skeinv1.LoginRequest) (*skeinv1.LoginResponse, error) {
	g, err := a.cfg.Accounts.Login(ctx, account.Credentials{
		Name: req.Name, Password: req.Password, DeviceName: req.DeviceName, Remote: who.remote,
	})
	if err != nil {
		return nil, err
	}
	return &skeinv1.LoginResponse{User: uint64(g.User), Device: uint32(g.Device), Token: g.Token}, nil
}

func (a *API) logout(ctx context.Context, who *caller, _ *skeinv1.LogoutRequest) (*skeinv1.LogoutResponse, error) {
	_, err := im.Do(ctx, a.mailbox, im.User(who.user), &im.RevokeDevice{Device: who.device})
	return &skeinv1.LogoutResponse{}, err
}

func (a *API) listDevices(ctx context.Context, who *caller, _ *skeinv1.ListDevicesRequest) (*skeinv1.ListDevicesResponse, error) {
	list, err := a.devices(ctx, who.user)
	if err != nil {
		return nil, err
	}
	res := &skeinv1.ListDevicesResponse{Devices: make([]*skeinv1.Device, 0, len(list))}
	for _, d := range list {
		res.Devices = append(res.Devices, &skeinv1.Device{
			Device: uint32(d.Device), Name: d.Name, CreatedMs: int64(d.Created),
			Cursor: uint64(d.Cursor), Current: d.Device == who.device, Online: d.Online,
		})
	}
	return res, nil
}

func (a *API) devices(ctx context.Context, user im.UserID) ([]im.DeviceInfo, error) {
	return im.Ask[[]im.DeviceInfo](ctx, a.mailbox, im.User(user), &im.ListDevices{})
}

func (a *API) revokeDevice(ctx context.Context, who *caller, req *skeinv1.RevokeDeviceRequest) (*skeinv1.RevokeDeviceResponse, error) {
	if req.Device == 0 {
		return nil, im.Errorf(im.Invalid, "devices are numbered from 1")
	}
	_, err := im.Do(ctx, a.mailbox, im.User(who.user), &im.RevokeDevice{Device: im.DeviceID(req.Device)})
	return &skeinv1.RevokeDeviceResponse{}, err
}

func (a *API) lookupUser(ctx context.Context, _ *caller, req *skeinv1.LookupUserRequest) (*skeinv1.LookupUserResponse, error) {
	user, name, err := a.cfg.Accounts.LookupUser(ctx, req.Name)
	return &skeinv1.LookupUserResponse{User: uint64(user), Name: name}, err
}

// findUser is lookupUser for the operator, who is no user.
func (a *API) findUser(ctx context.Context, _ *caller, req *skeinv1.FindUserRequest) (*skeinv1.FindUserResponse, error) {
	user, name, err := a.cfg.Accounts.LookupUser(ctx, req.Name)
	return &skeinv1.FindUserResponse{User: uint64(user), Name: name}, err
}
