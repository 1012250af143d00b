package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

// accounts are the users of a data set at the server, by place.
type accounts struct {
	ids []im.UserID
	// tokens are those of each user's devices.
	tokens [][]string
}

// friendsOf are the identifiers of a user's friends, by place.
func (a *accounts) friendsOf(d *Dataset, user int) []im.UserID {
	list := d.Friends[user-1]
	ids := make([]im.UserID, len(list))
	for i, f := range list {
		ids[i] = a.ids[f-1]
	}
	return ids
}

// How much of setting up goes into one request, and how much runs at a time.
const (
	provisionUsers = 200
	setupWorkers   = 4
)

// provision makes the users exist, with friends and devices, as the operator.
func provision(ctx context.Context, api *client.API, d *Dataset, devices int) (*accounts, error) {
	a := &accounts{ids: make([]im.UserID, d.Users), tokens: make([][]string, d.Users)}
	users := make([]*skeinv1.ProvisionUser, d.Users)
	for i := range users {
		u := &skeinv1.ProvisionUser{User: uint64(i + 1), Friends: make([]uint64, len(d.Friends[i]))}
		for j, f := range d.Friends[i] {
			u.Friends[j] = uint64(f)
		}
		a.ids[i] = im.UserID(i + 1)
		for n := range devices {
			secret, err := account.NewSecret(rand.Reader)
			if err != nil {
				return nil, err
			}
			hash := secret.Hash()
			u.TokenHashes = append(u.TokenHashes, hash[:])
			a.tokens[i] = append(a.tokens[i], account.Token(a.ids[i], im.DeviceID(n+1), secret))
		}
		users[i] = u
	}
	for len(users) > 0 {
		n := min(len(users), provisionUsers)
		err := callProvision(ctx, api, users[:n])
		if err != nil {
			return nil, fmt.Errorf("provisioning users: %w", err)
		}
		users = users[n:]
	}
	return a, nil
}

// callProvision makes some users exist. It repeats what fails in passing, as
// when the server is being restarted: a user provisioned twice is the same.
func callProvision(ctx context.Context, api *client.API, users []*skeinv1.ProvisionUser) error {
	return retry(ctx, func() error {
		return api.Call(ctx, rpc.AdminServiceProvisionProcedure,
			&skeinv1.ProvisionRequest{Users: users}, new(skeinv1.ProvisionResponse))
	})
}

// register makes users as anybody may: by registering, and by asking and
// accepting friends. It is slow, since every password is hashed.
func register(ctx context.Context, base string, hc *http.Client, d *Dataset, devices int, run uint64) (*accounts, error) {
	a := &accounts{ids: make([]im.UserID, d.Users), tokens: make([][]string, d.Users)}
	anyone := client.NewAPI(base, "", hc)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(setupWorkers)
	for i := range d.Users {
		group.Go(func() error { return a.register(gctx, anyone, i, devices, run) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("registering users: %w", err)
	}
	if err := a.befriend(ctx, anyone, d); err != nil {
		return nil, fmt.Errorf("making friends: %w", err)
	}
	return a, nil
}

func (a *accounts) register(ctx context.Context, api *client.API, i, devices int, run uint64) error {
	name := fmt.Sprintf("bench-%x-%d", run, i+1)
	password := rand.Text()
	r, err := api.Register(ctx, name, password, "bench 1")
	if err != nil {
		return err
	}
	a.ids[i] = im.UserID(r.GetUser())
	a.tokens[i] = []string{r.GetToken()}
	for n := 2; n <= devices; n++ {
		l, err := api.Login(ctx, name, password, fmt.Sprintf("bench %d", n))
		if err != nil {
			return err
		}
		a.tokens[i] = append(a.tokens[i], l.GetToken())
	}
	return nil
}

// befriend lets the lower numbered of two friends ask and the other accept.
func (a *accounts) befriend(ctx context.Context, anyone *client.API, d *Dataset) error {
	for _, step := range []func(me *client.API, i, f int) error{
		func(me *client.API, i, f int) error {
			if f < i+1 {
				return nil
			}
			_, err := me.RequestContact(ctx, a.ids[f-1], "")
			return err
		},
		func(me *client.API, i, f int) error {
			if f > i+1 {
				return nil
			}
			return a.accept(ctx, me, a.ids[f-1])
		},
	} {
		var group errgroup.Group
		group.SetLimit(setupWorkers)
		for i := range d.Users {
			group.Go(func() error {
				me := anyone.WithToken(a.tokens[i][0])
				for _, f := range d.Friends[i] {
					if err := step(me, i, f); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return a.friendsEverywhere(ctx, anyone, d)
}

// accept accepts a request, which may still be on its way between mailboxes.
func (a *accounts) accept(ctx context.Context, me *client.API, friend im.UserID) error {
	return retry(ctx, func() error {
		_, err := me.AcceptContact(ctx, friend)
		if k := im.KindOf(err); k == im.NotFound || k == im.Invalid || k == im.NotContact {
			return im.Errorf(im.Unavailable, "the request has not arrived: %w", err)
		}
		return err
	})
}

// friendsEverywhere waits until those who asked know that they were accepted.
func (a *accounts) friendsEverywhere(ctx context.Context, anyone *client.API, d *Dataset) error {
	var group errgroup.Group
	group.SetLimit(setupWorkers)
	for i := range d.Users {
		group.Go(func() error {
			me := anyone.WithToken(a.tokens[i][0])
			return retry(ctx, func() error {
				list, err := me.Contacts(ctx)
				if err != nil {
					return err
				}
				friends := 0
				for _, c := range list {
					if c.GetState() == skeinv1.ContactState_CONTACT_STATE_FRIENDS {
						friends++
					}
				}
				if friends < len(d.Friends[i]) {
					return im.Errorf(im.Unavailable, "user %d has %d of %d friends", i+1, friends, len(d.Friends[i]))
				}
				return nil
			})
		})
	}
	return group.Wait()
}

// sharedHTTP is an HTTP client that keeps connections for many users at once.
func sharedHTTP(conns int) *http.Client {
	t := &http.Transport{MaxIdleConnsPerHost: conns, DisableCompression: true}
	return &http.Client{Transport: t}
}

// firstError keeps the first error of many goroutines and says when there is
// one.
type firstError struct {
	once sync.Once
	set  chan struct{}
	err  error
}

func newFirstError() *firstError { return &firstError{set: make(chan struct{})} }

func (f *firstError) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.set)
	})
}
