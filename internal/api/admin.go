package api

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

const (
	// maxProvisioned is how many users one request may have.
	maxProvisioned = 1000
	// provisioning is how many of them are under way at a time: enough for
	// them to share commits.
	provisioning = 64
	// provisionPatience is for how long one of them is tried again while the
	// mailbox is busy: provisioning is the first thing that it refuses, and the
	// caller would have to repeat the whole request for it. provisionRetry is
	// the least time between two attempts.
	provisionPatience = 10 * time.Second
	provisionRetry    = 50 * time.Millisecond
)

func (a *API) provision(ctx context.Context, _ *caller, req *skeinv1.ProvisionRequest) (*skeinv1.ProvisionResponse, error) {
	if len(req.Users) > maxProvisioned {
		return nil, im.Errorf(im.TooLarge, "at most %d users at a time", maxProvisioned)
	}
	commands := make([]*im.Provision, len(req.Users))
	for i, u := range req.Users {
		cmd, err := provisionOf(u)
		if err != nil {
			return nil, err
		}
		commands[i] = cmd
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(provisioning)
	for i, u := range req.Users {
		group.Go(func() error {
			return a.provisionOne(ctx, im.UserID(u.User), commands[i])
		})
	}
	return &skeinv1.ProvisionResponse{}, group.Wait()
}

// provisionOne makes a user, if not at once, when the mailbox has time for it.
func (a *API) provisionOne(ctx context.Context, user im.UserID, cmd *im.Provision) error {
	began := time.Now()
	for {
		_, err := im.Do(ctx, a.mailbox, im.User(user), cmd)
		if im.KindOf(err) != im.Busy {
			return err
		}
		wait := max(provisionRetry, time.Duration(im.AsError(err).RetryAfterMS)*time.Millisecond)
		if time.Since(began)+wait > provisionPatience {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// provisionOf checks one user of a request.
func provisionOf(u *skeinv1.ProvisionUser) (*im.Provision, error) {
	if !provisionable(u.GetUser()) {
		return nil, im.Errorf(im.Invalid, "user %d: provisioned users are numbered from 1 to %d",
			u.GetUser(), im.FirstRegisteredUser-1)
	}
	if len(u.Friends) > im.MaxContacts || len(u.TokenHashes) > im.MaxDevices {
		return nil, im.Errorf(im.TooLarge, "user %d: at most %d friends and %d devices", u.User, im.MaxContacts, im.MaxDevices)
	}
	cmd := &im.Provision{
		Friends:     make([]im.UserID, 0, len(u.Friends)),
		TokenHashes: make([][32]byte, 0, len(u.TokenHashes)),
	}
	for _, f := range u.Friends {
		if !provisionable(f) || f == u.User {
			return nil, im.Errorf(im.Invalid, "user %d: %d cannot be a friend", u.User, f)
		}
		cmd.Friends = append(cmd.Friends, im.UserID(f))
	}
	for _, h := range u.TokenHashes {
		if len(h) != 32 {
			return nil, im.Errorf(im.Invalid, "user %d: a token's hash is a SHA-256, 32 bytes", u.User)
		}
		cmd.TokenHashes = append(cmd.TokenHashes, [32]byte(h))
	}
	return cmd, nil
}

func provisionable(user uint64) bool { return user > 0 && user < uint64(im.FirstRegisteredUser) }
