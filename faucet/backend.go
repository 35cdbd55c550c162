// SPDX-License-Identifier: Apache-2.0

package faucet

import "context"

// backend is where a Config goes. But for fresh, the Courier's goroutine alone
// calls it.
type backend interface {
	mode() string
	// sweep removes what an earlier process of ours did not finish.
	sweep() error
	// look returns what there is now, cheaply when nothing has changed. An eager
	// one waits for something of the operator's. Its error is a notOurs when what
	// is in our place is somebody else's.
	look(ctx context.Context, eager bool) (seen, error)
	// fresh returns what the operator has at this moment; from any goroutine.
	fresh() (Others, error)
	// check asks whether Faucet would take a Config; nil when that is not known.
	check(ctx context.Context, before, c Config) error
	// deliver makes Faucet's configuration hold c, as far as it can. What it did
	// when it returns an error without a version is not known.
	deliver(ctx context.Context, c Config) (delivered, error)
	// tell makes Faucet look at its configuration.
	tell(context.Context) error
	// loaded asks Faucet what it has.
	loaded(context.Context) (loaded, error)
	// hint is what to look into when Faucet does not load what it should.
	hint() string
}

// delivered is what there is after a delivery.
type delivered struct {
	ours    string // as in seen
	version string
}

// seen is what a backend finds.
type seen struct {
	others  Others
	ours    string // the text of our Config, "" when there is none
	version string // and its name
	// detached is why Faucet cannot come to see ours; "" when it can.
	detached string
	// state names the state of all that Faucet reads but ours.
	state string
}

// loaded is what Faucet says of its configuration.
type loaded struct {
	versions []string // of ours that may be the one in force
	refused  string   // why it refused what it looked at last
	sent     bool     // the flows of all datapaths have been sent
}
