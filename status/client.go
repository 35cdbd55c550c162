// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// ErrNotRunning is the cause when nobody serves the socket.
var ErrNotRunning = errors.New("dovesnap is not running")

// maxAnswer bounds an answer in bytes; 10,000 endpoints take about 5 MB.
const maxAnswer = 64 << 20

// Get asks the daemon that serves the socket, for at most 15 seconds.
func Get(ctx context.Context, path string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://dovesnap/status", nil)
	if err != nil {
		return Status{}, fmt.Errorf("cannot read status: %w", err)
	}
	response, err := transport.RoundTrip(request)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return Status{}, fmt.Errorf("cannot read status: %w", ErrNotRunning)
	case errors.Is(err, os.ErrPermission):
		return Status{}, errors.New("cannot read status: only root may")
	case err != nil:
		return Status{}, fmt.Errorf("cannot read status: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Status{}, fmt.Errorf("cannot read status: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(body, &f) != nil || f.Error == "" {
			f.Error = "the daemon answers " + response.Status
		}
		return Status{}, fmt.Errorf("cannot read status: %s", f.Error)
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("cannot read status: %w", err)
	}
	return s, nil
}
