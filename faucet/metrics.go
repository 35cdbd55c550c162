// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	metricsTimeout = 2 * time.Second
	metricsLimit   = 64 << 20
)

// metrics asks Faucet's Prometheus exporter what it has loaded.
type metrics struct {
	url    string
	client *http.Client
}

func newMetrics(base string) metrics {
	if u, err := url.Parse(base); err == nil && u.Path == "" {
		base += "/metrics"
	}
	return metrics{url: base, client: &http.Client{Timeout: metricsTimeout, Transport: &http.Transport{Proxy: nil}}}
}

// report is what matters of the metrics.
type report struct {
	files, hashes []string // of the files that Faucet has loaded, side by side
	text          string   // the list of files as Faucet gives it
	refused       string
	sent          bool
}

func (m metrics) scrape(ctx context.Context) (report, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return report{}, fmt.Errorf("cannot ask Faucet at %q: %w", m.url, err)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		if u, ok := err.(*url.Error); ok {
			err = u.Err
		}
		return report{}, fmt.Errorf("cannot ask Faucet at %q what it has loaded: %w", m.url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return report{}, fmt.Errorf("cannot ask Faucet at %q what it has loaded: %s", m.url, resp.Status)
	}
	r, known, err := parseMetrics(io.LimitReader(resp.Body, metricsLimit))
	switch {
	case err != nil:
		return report{}, fmt.Errorf("cannot read Faucet's answer at %q: %w", m.url, err)
	case !known:
		return report{}, fmt.Errorf("cannot ask Faucet at %q what it has loaded: the answer has no faucet_config_hash_info", m.url)
	}
	return r, nil
}

// parseMetrics reads the three metrics of Faucet's that matter, in Prometheus's
// text format (https://prometheus.io/docs/instrumenting/exposition_formats).
func parseMetrics(in io.Reader) (r report, known bool, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	failed := false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "faucet_config_hash_info{"):
			known = true
			l := labels(strings.TrimPrefix(line, "faucet_config_hash_info{"))
			r.text, r.refused = l["config_files"], l["error"]
			r.files, r.hashes = strings.Split(r.text, ","), strings.Split(l["hashes"], ",")
		case strings.HasPrefix(line, "faucet_config_load_error "):
			failed = !strings.HasPrefix(line, "faucet_config_load_error 0")
		case strings.HasPrefix(line, "faucet_config_applied "):
			r.sent = strings.HasPrefix(line, "faucet_config_applied 1")
		}
	}
	if failed && r.refused == "" {
		r.refused = "it does not say why"
	}
	return r, known, lines.Err()
}

// hashOf returns the hashes that a file may have been loaded with.
func (r report) hashOf(file string) []string {
	if len(r.files) != len(r.hashes) { // a file's name has a comma
		if strings.Contains(r.text, file) {
			return r.hashes
		}
		return nil
	}
	for i, name := range r.files {
		if name == file && r.hashes[i] != "" {
			return r.hashes[i : i+1]
		}
	}
	return nil
}

// labels reads name="value",… up to the closing brace.
func labels(s string) map[string]string {
	out := map[string]string{}
	for {
		name, rest, ok := strings.Cut(s, `="`)
		if !ok {
			return out
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				if i++; rest[i] == 'n' {
					value.WriteByte('\n')
					continue
				}
			}
			value.WriteByte(rest[i])
		}
		out[strings.Trim(name, ", ")] = value.String()
		s = rest[min(i+1, len(rest)):]
	}
}
