package main

import (
	"errors"
	"strings"

	"github.com/skein-im/skein/client"
)

// words are what the chat says, in one language.
type words struct {
	password, newPassword                                        string
	needPasswordFile, cannotRegister, cannotLogIn, badLogin      string
	welcome, offline, lost, back                                 string
	already, and, notNumber                                      string
	help, unknown, usage, nobody, noSuchUser, nowTo, failed      string
	late, notYet                                                 string
	notice, traced                                               string
	balance, moneyLine, sentEnvelope, openedShare, nothingToOpen string
	badAmount, noSuchEnvelope, whichCampaign, won                string
	notWon                                                       map[client.ShakeOutcome]string
	money, spent                                                 map[client.MoneyEvent]string
	sent, refused, gone, rewound                                 string
	noContacts, noHistory, device, thisDevice, online, blocked   string
	states                                                       map[int32]string
	events, ownEvents                                            map[client.ContactEvent]string
	kinds                                                        map[client.ErrorKind]string
}

// why is an error in the words of the language, or at least in those of a person.
func (w *words) why(err error) string {
	detail := err.Error()
	if e := (*client.Error)(nil); errors.As(err, &e) && e.Detail != "" {
		detail = e.Detail
	}
	if w == &chinese && chineseDetails[detail] != "" {
		return chineseDetails[detail]
	}
	kind := client.KindOf(err)
	switch what := w.kinds[kind]; {
	case what == "":
		return detail
	case kind == client.Unavailable:
		return what + " (" + detail + ")"
	default:
		return what
	}
}

// chineseDetails are for what people are told of their input, by the text of the
// server. Its other texts are for who wrote the program.
var chineseDetails = map[string]string{
	"a user name has letters, digits, '.', '_' and '-' only": "用户名只能由英文字母、数字和 . _ - 组成",
	"a password has 8 to 256 bytes":                          "密码要有 8 到 256 个字节",
	"the other side must be another user":                    "对方必须是别的用户",
}

// loginError is why somebody cannot log in, or register.
type loginError struct {
	text string
	err  error
}

func (e *loginError) Error() string { return e.text }
func (e *loginError) Unwrap() error { return e.err }

// wordsFor chooses the language as other programs do.
func wordsFor(env func(string) string) *words {
	for _, key := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := env(key); v != "" {
			if strings.HasPrefix(strings.ToLower(v), "zh") {
				return &chinese
			}
			break
		}
	}
	return &english
}

var english = words{
	password:         "Password: ",
	newPassword:      "Choose a password, 8 bytes or more: ",
	needPasswordFile: "there is no terminal to ask for the password; use --password-file",
	cannotRegister:   "cannot register: %s",
	cannotLogIn:      "cannot log in: %s",
	badLogin:         "the login kept in %s is not valid any more; remove the file to log in again",
	welcome:          "You are %s. /help lists the commands.",
	offline:          "There is no connection just now; it is being tried again.",
	lost:             "The connection is gone and is being tried again. What you write is sent when it is back.",
	back:             "Connected again.",
	already:          "%s is your contact.",
	and:              ", ",
	help: `/to NAME         write to NAME from now on
/add NAME [NOTE] ask NAME to be your contact
/accept NAME     accept NAME's request; /refuse NAME refuses it
/block NAME      refuse whatever NAME sends; /unblock NAME ends that
/remove NAME     end a friendship, or withdraw a request
/contacts        list your contacts
/history [N]     show the last N messages with whom you write to
/devices         list your devices
/gift CENTS [SHARES] [@NAME...] [TEXT]
                 send an envelope to those named, or to the one you write to
/open [NUMBER]   open the last envelope that came, or the one with this number
/shake NUMBER    try to win an envelope of a campaign
/balance         show what is in your wallet; /statement lists what changed it
/wait N [SECS]   wait until N entries have come since the last time
/trace TEXT      write TEXT and have the server trace it
/quit            leave
//...            write a line that begins with /
A name can also be a user's number, like #4294967296.`,
	notice:        "Notice: %s",
	traced:        "The operator sees its way with: skein trace %s",
	balance:       "You have %s.",
	moneyLine:     "%s  %s",
	sentEnvelope:  "Envelope %d is on its way.",
	openedShare:   "It has %s for you.",
	nothingToOpen: "No envelope has come yet.",
	badAmount:     "How much? /gift CENTS [SHARES] [@NAME...] [TEXT]",

	noSuchEnvelope: "There is no such envelope. /open NUMBER, or /open for the last one.",
	whichCampaign:  "Which campaign? /shake NUMBER",
	won:            "You won %s.",
	notWon: map[client.ShakeOutcome]string{
		client.ShakeNothing: "Nothing this time.",
		client.ShakeLimit:   "You have won as often as you may.",
		client.ShakeClosed:  "This campaign has not begun, is over, or does not exist.",
	},
	money: map[client.MoneyEvent]string{
		client.EnvelopeSent:     "you sent an envelope of %s, number %d",
		client.EnvelopeReceived: "an envelope from %s, number %d (/open)",
		client.EnvelopeOpened:   "%s from an envelope, number %d",
		client.EnvelopeFinished: "%s came back from an envelope, number %d",
		client.CampaignFunded:   "you funded a campaign with %s, number %d",
		client.CampaignWon:      "you won %s in campaign %d",
		client.CampaignFinished: "%s came back from campaign %d",
		client.ToppedUp:         "%s came into your wallet, payment %d",
		client.Withdrawn:        "%s withdrawn, payment %d",
		client.MoneyReturned:    "%s came back, number %d",
		client.PaidOut:          "%s paid out, payment %d",
	},
	spent: map[client.MoneyEvent]string{
		client.EnvelopeFinished: "all of your envelope %d has been opened",
		client.CampaignFinished: "all of campaign %d has been won",
	},
	unknown:    "There is no command %s; /help lists them.",
	usage:      "Who? %s NAME",
	nobody:     "To whom? Say /to NAME first.",
	noSuchUser: "There is no user %s.",
	nowTo:      "Writing to %s.",
	failed:     "That did not work: %v",
	notNumber:  "%q is not a number",
	late:       "No receipt yet; the message may still go out.",
	notYet:     "%d of %d entries came in time.",
	sent:       "%s  you -> %s: %s",
	refused:    "%s  %s did not get your message number %d: %s",
	gone:       "what came before is no longer kept by the server (up to entry %d)",
	rewound:    "the server has lost what came after entry %d: others may not have what you see above",
	noContacts: "You have no contacts yet. /add NAME asks somebody.",
	noHistory:  "There is nothing yet.",
	device:     "%d  %s  since %s",
	thisDevice: "this one",
	online:     "online",
	blocked:    "blocked",
	states:     map[int32]string{0: "-", 1: "asked", 2: "asks you", 3: "contact"},
	events: map[client.ContactEvent]string{
		client.ContactRequested: "%[1]s asks to be your contact (/accept %[1]s or /refuse %[1]s)",
		client.ContactAccepted:  "%s accepted your request",
		client.ContactRefused:   "%s refused your request",
		client.ContactRemoved:   "%s ended your contact",
		client.ContactBlocked:   "%s blocked you",
		client.ContactUnblocked: "%s unblocked you",
	},
	ownEvents: map[client.ContactEvent]string{
		client.ContactRequested: "you asked %s to be your contact",
		client.ContactAccepted:  "you accepted %s's request",
		client.ContactRefused:   "you refused %s's request",
		client.ContactRemoved:   "you ended your contact with %s",
		client.ContactBlocked:   "you blocked %s",
		client.ContactUnblocked: "you unblocked %s",
	},
	kinds: map[client.ErrorKind]string{
		client.NotContact: "you are not contacts",
		client.Blocked:    "you have blocked this user",
		client.NotFound:   "there is no such user",

		client.Unauthenticated: "wrong user name or password",
		client.AlreadyExists:   "the name is taken",
		client.Unavailable:     "the server cannot be reached or does not answer",
		client.Busy:            "the server has too much to do; try again in a moment",

		client.Insufficient: "there is not enough money in your wallet",
		client.Expired:      "it can no longer be opened",
		client.AllGone:      "others have opened all of it",
		client.Moved:        "you live in another region",
	},
}

var chinese = words{
	password:         "密码：",
	newPassword:      "请设置密码（至少 8 个字节）：",
	needPasswordFile: "没有终端可以输入密码，请使用 --password-file",
	cannotRegister:   "无法注册：%s",
	cannotLogIn:      "无法登录：%s",
	badLogin:         "%s 中保存的登录已失效，删除该文件后重新登录",
	welcome:          "你是 %s。输入 /help 查看命令。",
	offline:          "目前没有连接，正在重试。",
	lost:             "连接断了，正在重试；你写的话会在连上之后发出。",
	back:             "又连上了。",
	already:          "%s 已经是你的联系人。",
	and:              "，",
	help: `/to 名字          此后写给这个人
/add 名字 [附言]  请求加为联系人
/accept 名字      接受请求；/refuse 名字 拒绝请求
/block 名字       拉黑；/unblock 名字 取消拉黑
/remove 名字      解除联系人，或撤回请求
/contacts         列出联系人
/history [N]      显示与当前联系人的最近 N 条消息
/devices          列出你的设备
/gift 分 [份数] [@名字...] [祝福]
                  给写明的人，或当前联系人，发一个红包
/open [编号]      打开最近收到的红包，或指定编号的红包
/shake 编号       摇一摇，从活动里抢红包
/balance          显示钱包余额；/statement 列出明细
/wait N [秒]      等到自上次以来又来了 N 条
/trace 文字       发出这行文字，并让服务器跟踪它
/quit             退出
//...             发送以 / 开头的一行
名字也可以写成用户编号，如 #4294967296。`,
	notice:        "公告：%s",
	traced:        "运维人员可以查看它的去向：skein trace %s",
	balance:       "你有 %s。",
	moneyLine:     "%s  %s",
	sentEnvelope:  "红包 %d 已发出。",
	openedShare:   "里面有你的 %s。",
	nothingToOpen: "还没有收到红包。",
	badAmount:     "多少？/gift 分 [份数] [@名字...] [祝福]",

	noSuchEnvelope: "没有这个红包。/open 编号，或 /open 打开最近的红包。",
	whichCampaign:  "哪个活动？/shake 编号",
	won:            "你摇到 %s。",
	notWon: map[client.ShakeOutcome]string{
		client.ShakeNothing: "这次没有。",
		client.ShakeLimit:   "你中奖的次数已满。",
		client.ShakeClosed:  "活动还没有开始、已经结束或不存在。",
	},
	money: map[client.MoneyEvent]string{
		client.EnvelopeSent:     "你发出一个 %s 的红包，编号 %d",
		client.EnvelopeReceived: "%s 发来的红包，编号 %d（/open）",
		client.EnvelopeOpened:   "从红包得到 %s，编号 %d",
		client.EnvelopeFinished: "红包退回 %s，编号 %d",
		client.CampaignFunded:   "你出资 %s 办活动，编号 %d",
		client.CampaignWon:      "你摇到 %s，活动 %d",
		client.CampaignFinished: "活动退回 %s，编号 %d",
		client.ToppedUp:         "%s 充入钱包，支付 %d",
		client.Withdrawn:        "提现 %s，支付 %d",
		client.MoneyReturned:    "退回 %s，编号 %d",
		client.PaidOut:          "%s 已付出，支付 %d",
	},
	spent: map[client.MoneyEvent]string{
		client.EnvelopeFinished: "你的红包已全部打开，编号 %d",
		client.CampaignFinished: "活动的钱已全部摇走，编号 %d",
	},
	unknown:    "没有命令 %s，输入 /help 查看命令。",
	usage:      "谁？%s 名字",
	nobody:     "写给谁？请先输入 /to 名字。",
	noSuchUser: "没有用户 %s。",
	nowTo:      "现在写给 %s。",
	failed:     "没有成功：%v",
	notNumber:  "%q 不是数字",
	late:       "还没有收到回执，消息仍可能发出。",
	notYet:     "时限内来了 %d 条，应有 %d 条。",
	sent:       "%s  你 -> %s：%s",
	refused:    "%s  %s 没有收到你的第 %d 条消息：%s",
	gone:       "更早的消息服务器已不再保存（到第 %d 条为止）",
	rewound:    "服务器丢失了第 %d 条之后的内容：以上部分消息对方可能没有",
	noContacts: "还没有联系人。用 /add 名字 添加。",
	noHistory:  "还什么都没有。",
	device:     "%d  %s  自 %s",
	thisDevice: "本机",
	online:     "在线",
	blocked:    "已拉黑",
	states:     map[int32]string{0: "-", 1: "已请求", 2: "请求加你", 3: "联系人"},
	events: map[client.ContactEvent]string{
		client.ContactRequested: "%[1]s 请求加你为联系人（/accept %[1]s 或 /refuse %[1]s）",
		client.ContactAccepted:  "%s 接受了你的请求",
		client.ContactRefused:   "%s 拒绝了你的请求",
		client.ContactRemoved:   "%s 解除了联系人",
		client.ContactBlocked:   "%s 拉黑了你",
		client.ContactUnblocked: "%s 取消了拉黑",
	},
	ownEvents: map[client.ContactEvent]string{
		client.ContactRequested: "你请求加 %s 为联系人",
		client.ContactAccepted:  "你接受了 %s 的请求",
		client.ContactRefused:   "你拒绝了 %s 的请求",
		client.ContactRemoved:   "你解除了与 %s 的联系人关系",
		client.ContactBlocked:   "你拉黑了 %s",
		client.ContactUnblocked: "你取消了对 %s 的拉黑",
	},
	kinds: map[client.ErrorKind]string{
		client.NotContact: "你们不是联系人",
		client.Blocked:    "你已拉黑该用户",
		client.NotFound:   "没有该用户",

		client.Unauthenticated: "用户名或密码不对",
		client.AlreadyExists:   "名字已被使用",
		client.Unavailable:     "连不上服务器，或服务器没有回答",
		client.Busy:            "服务器忙，请稍后再试",

		client.Insufficient: "余额不足",
		client.Expired:      "已经过期",
		client.AllGone:      "已被领完",
		client.Moved:        "你的账号在另一个地区",
	},
}
