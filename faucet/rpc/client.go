// SPDX-License-Identifier: Apache-2.0

// Package rpc changes the configuration of a Faucet on another machine through
// faucetconfrpc, the server that keeps Faucet's faucet.yaml there.
//
// The contract: each method is one call of the service, which the server carries
// out as a whole or not at all, after Faucet's own parser has accepted the whole
// result. An error is one line; errors.Is tells ErrUnreachable, after which the
// same call may be made again, from ErrRefused, whose text is for the operator.
//
// Be aware:
//   - Each call makes a connection of its own, from the files as they are then:
//     a renewed certificate counts at once, a host that vanished without a word
//     holds up nobody, and no back-off delays a server that has returned. The
//     handshake is a few milliseconds; the server needs longer for any change.
//   - A call costs the server 2 to 7 ms for every port in its whole file, and it
//     works on one at a time, for all its clients. The one it works on is carried
//     out even when the client has given up: give it time, and repeat slowly.
//   - The server refuses what leaves the file invalid, whoever made it so, and
//     a datapath without an interface is invalid. While the file has no datapath
//     at all, it checks nothing.
//   - A datapath of the same name in an included file wins over ours, unsaid.
//   - Every change writes the file anew: sorted, without comments and anchors,
//     with mode 0600.
//   - A mapping or list is replaced by nothing of another kind, nor by null:
//     {dps: } is refused.
package rpc

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"dovesnap/faucet/rpc/internal/pb"
)

//go:generate ./generate.sh

const (
	// A change in 1,000 ports was seen to take the server 2 s, and 7 s on a busy
	// machine; and calls of other hosts may be before ours.
	callTimeout = 30 * time.Second
	dialTimeout = 5 * time.Second
	// The server accepts 4 MiB of YAML in a call; merged, they may be more.
	maxAnswer = 64 << 20
)

// Config says where the server is and who we are.
type Config struct {
	Address    string // host:port
	ServerName string // in the server's certificate; empty: Address's host
	CA         string // file of the certificate that signed the server's
	Cert, Key  string // files of our certificate and its key
}

// Client is a faucetconfrpc server. It holds nothing that must be closed.
type Client struct {
	cfg                      Config
	callTimeout, dialTimeout time.Duration // the constants, but in tests
}

// Open checks cfg and the files that it names. It does not connect. That a
// certificate has expired is not an error yet, since it can be renewed.
func Open(cfg Config) (*Client, error) {
	host, port, err := net.SplitHostPort(cfg.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || n == 0 {
		return nil, fmt.Errorf("cannot use address %q of faucetconfrpc: it is not host:port", cfg.Address)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if _, err := cfg.tls(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, callTimeout: callTimeout, dialTimeout: dialTimeout}, nil
}

// call does f, the call that is named, on a connection of its own.
func (c *Client) call(ctx context.Context, name string, f func(context.Context, pb.FaucetConfServerClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.callTimeout)
	defer cancel()
	tls, err := c.cfg.tls()
	if err == nil {
		err = inTime(tls.Certificates[0], c.cfg.Cert)
	}
	if err != nil {
		return c.unreachable(name, err)
	}
	// passthrough: the name is resolved, and its addresses are tried, by package
	// net. No proxy: what is named here is a controller, not a site.
	conn, err := grpc.NewClient("passthrough:///"+c.cfg.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(tls)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: c.dialTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry())
	if err != nil {
		return c.unreachable(name, err)
	}
	defer conn.Close()
	if err := f(ctx, pb.NewFaucetConfServerClient(conn)); err != nil {
		return c.failed(name, err)
	}
	return nil
}
