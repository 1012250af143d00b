package bench

import (
	"context"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
)

// notify has the server send a notice to everyone connected, as the operator.
// The mark is in it as it is.
func notify(ctx context.Context, api *client.API, mark []byte) error {
	return api.Call(ctx, rpc.AdminServiceNotifyProcedure, &skeinv1.NotifyRequest{
		Content: &skeinv1.Content{Type: skeinv1.ContentType_CONTENT_TYPE_CUSTOM, Body: mark},
	}, new(skeinv1.NotifyResponse))
}
