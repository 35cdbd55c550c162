// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What errors.Is finds in the error of a call: always one of the two.
var (
	// ErrUnreachable: no answer came, because of the network, a certificate or
	// the time. The call may have been carried out; it may be made again.
	ErrUnreachable = errors.New("faucetconfrpc is unreachable")
	// ErrRefused: the server has answered, and changed nothing. The same call
	// is refused again until something in the server's files changes.
	ErrRefused = errors.New("faucetconfrpc has refused")
)

// callError is why a call has failed.
type callError struct {
	call, address string
	code          codes.Code
	text          string
}

func (e *callError) Error() string {
	return fmt.Sprintf("cannot call %s of faucetconfrpc at %q: %s: %s", e.call, e.address, e.code, e.text)
}

func (e *callError) Is(target error) bool {
	switch e.code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return target == ErrUnreachable
	}
	return target == ErrRefused
}

// unreachable is for what keeps us from calling.
func (c *Client) unreachable(call string, err error) error {
	return &callError{call, c.cfg.Address, codes.Unavailable, oneLine(err.Error())}
}

// failed is for what grpc returns.
func (c *Client) failed(call string, err error) error {
	s := status.Convert(err)
	text := oneLine(unwrap(s.Message()))
	// In TLS 1.3 a client has finished its handshake before the server has seen
	// its certificate; the server's alert is lost more often than not.
	for _, end := range []string{"error reading server preface: ", ": broken pipe", ": connection reset by peer"} {
		if s.Code() == codes.Unavailable && strings.Contains(text, end) {
			text += fmt.Sprintf(" (perhaps the server does not accept certificate %q)", c.cfg.Cert)
			break
		}
	}
	return &callError{call, c.cfg.Address, s.Code(), text}
}

// unwrap takes off what others have put around a cause. The server repeats the
// whole request, in protobuf's text format, before its text:
//
//	peer_ip:… peer_id:… request:config_yaml: "{dps: …}" merge: true error Cannot set …
//
// and grpc quotes the cause of a failed connection, as ConnectionError does.
func unwrap(text string) string {
	if quoted, ok := strings.CutPrefix(text, "connection error: desc = "); ok {
		if cause, err := strconv.Unquote(quoted); err == nil {
			return strings.TrimPrefix(cause, "transport: ")
		}
	}
	_, request, ok := strings.Cut(text, " request:")
	if !ok || !strings.HasPrefix(text, "peer_ip:") {
		return text
	}
	const mark = " error "
	quoted := false
	for i := 0; i < len(request); i++ {
		switch {
		case request[i] == '\\' && quoted:
			i++
		case request[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(request[i:], mark):
			return request[i+len(mark):]
		}
	}
	return text
}

// oneLine makes one line, and not a long one: some of the server's texts hold
// the whole configuration.
func oneLine(text string) string {
	const most = 500
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}
