// Package client is the Go SDK of Skein: a link that stays up, sends that
// arrive exactly once, and a timeline that arrives complete and in order.
//
//	c, err := client.Dial(ctx, client.Options{
//		Addr:  "tcp://127.0.0.1:7001",
//		Token: token,
//		OnEntry: func(c *client.Client, e client.Entry) error {
//			fmt.Printf("%d: %s\n", e.Peer, e.Content.Body)
//			return nil
//		},
//	})
//	if err != nil { ... }
//	defer c.Close()
//	receipt, err := c.SendText(ctx, friend, "hello")
//
// # What it owns
//
// A Client owns one link at a time and three goroutines: one connects and
// reads, one writes, one hands entries to the application. Close waits for
// all of them. An API owns nothing.
//
// # What it persists
//
// Nothing. An application that keeps entries keeps Cursor with them and gives
// it to the next Dial; without it, the server's own cursor for the device
// counts, which is what the application had taken.
//
// # Invariants
//
// Sends are numbered when they are made, and repeated under their number
// until the server has answered, across as many links as it takes: so each is
// accepted once, and in the order of the calls. Entries are handed over by
// dense sequence, each once per Client; the server hears that one is stored
// only after the application has taken it. What this device sends while the
// link is up appears in its Receipt and not as an entry.
//
// # Queues
//
// Sends wait in a bounded outbox: Send waits for room, SendAsync fails with
// Busy. Entries wait in a bounded queue; what does not fit stays at the server
// until the application has caught up.
//
// # When it dies
//
// When the link dies, the client connects again, with exponential backoff and
// full jitter, when and where the server said. It gives up only when the
// server says that this is for a person to sort out: Err is then a
// *CloseError. When the process dies, sends without a receipt may or may not
// have been accepted.
package client
