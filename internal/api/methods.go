package api

import (
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/im"
)

// Methods are the names of all methods, as Config.Observe is told them.
func Methods() []string {
	table := methods()
	names := make([]string, len(table))
	for i, m := range table {
		names[i] = m.name()
	}
	return names
}

// methods is the table of everything that can be asked for.
func methods() []*method {
	return []*method{
		unary(rpc.AccountServiceRegisterProcedure, anyone, maxBody, (*API).register),
		unary(rpc.AccountServiceLoginProcedure, anyone, maxBody, (*API).login),
		unary(rpc.AccountServiceLogoutProcedure, device, maxBody, (*API).logout),
		unary(rpc.AccountServiceListDevicesProcedure, device, maxBody, (*API).listDevices),
		unary(rpc.AccountServiceRevokeDeviceProcedure, device, maxBody, (*API).revokeDevice),
		unary(rpc.AccountServiceLookupUserProcedure, device, maxBody, (*API).lookupUser),

		unary(rpc.ContactServiceListProcedure, device, maxBody, (*API).listContacts),
		unary(rpc.ContactServiceRequestProcedure, device, maxBody, contactStep(im.ContactRequest)),
		unary(rpc.ContactServiceAcceptProcedure, device, maxBody, contactStep(im.ContactAccept)),
		unary(rpc.ContactServiceRefuseProcedure, device, maxBody, contactStep(im.ContactRefuse)),
		unary(rpc.ContactServiceRemoveProcedure, device, maxBody, contactStep(im.ContactRemove)),
		unary(rpc.ContactServiceBlockProcedure, device, maxBody, contactStep(im.ContactBlock)),
		unary(rpc.ContactServiceUnblockProcedure, device, maxBody, contactStep(im.ContactUnblock)),

		unary(rpc.MessageServiceSendProcedure, device, maxBody, (*API).send),
		unary(rpc.MessageServiceSyncProcedure, device, maxBody, (*API).sync),
		unary(rpc.MessageServiceHistoryProcedure, device, maxBody, (*API).history),
		unary(rpc.MessageServiceCountersProcedure, device, maxBody, (*API).counters),

		unary(rpc.WalletServiceGetProcedure, device, maxBody, (*API).getWallet),
		unary(rpc.WalletServiceStatementProcedure, device, maxBody, (*API).statement),
		unary(rpc.WalletServiceWithdrawProcedure, device, maxBody, (*API).withdraw),
		unary(rpc.EnvelopeServiceSendProcedure, device, maxBody, (*API).sendEnvelope),
		unary(rpc.EnvelopeServiceOpenProcedure, device, maxBody, (*API).openEnvelope),
		unary(rpc.EnvelopeServiceGetProcedure, device, maxBody, (*API).getEnvelope),
		unary(rpc.CampaignServiceShakeProcedure, device, maxBody, (*API).shake),

		unary(rpc.TreasuryServiceTopUpProcedure, operator, maxBody, (*API).topUp),
		unary(rpc.TreasuryServiceSettleProcedure, operator, maxBody, (*API).settlePayment),
		unary(rpc.TreasuryServiceGetPaymentProcedure, operator, maxBody, (*API).getPayment),
		unary(rpc.TreasuryServiceCreateCampaignProcedure, operator, maxBody, (*API).createCampaign),
		unary(rpc.TreasuryServiceGetCampaignProcedure, operator, maxBody, (*API).getCampaign),

		unary(rpc.AdminServiceProvisionProcedure, operator, maxProvision, (*API).provision),
		unary(rpc.AdminServiceNotifyProcedure, operator, maxBody, (*API).notify),
		unary(rpc.AdminServiceFindUserProcedure, operator, maxBody, (*API).findUser),
	}
}
