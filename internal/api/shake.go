package api

import (
	"context"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// shake tries to win an envelope of a campaign.
func (a *API) shake(ctx context.Context, who *caller, req *skeinv1.ShakeRequest) (*skeinv1.ShakeResponse, error) {
	if a.cfg.Shake == nil {
		return nil, im.Errorf(im.Unimplemented, "campaigns are not served here")
	}
	outcome, cents, err := a.cfg.Shake(ctx, who.user, im.CampaignID(req.Campaign))
	if err != nil {
		return nil, err
	}
	return &skeinv1.ShakeResponse{Outcome: outcome, Cents: int64(cents)}, nil
}
