// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMetrics(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       report
		known      bool
	}{
		{"nothing", "", report{}, false},
		{"others", "# HELP x y\nfaucet_config_hash_func{algorithm=\"sha256\"} 1.0\n", report{}, false},
		{"loaded", `faucet_config_hash_info{config_files="/a,/b",error="",hashes="1,2"} 1.0
faucet_config_load_error 0.0
faucet_config_applied 1.0
`, report{files: []string{"/a", "/b"}, hashes: []string{"1", "2"}, text: "/a,/b", sent: true}, true},
		{"refused", `faucet_config_load_error 1.0
faucet_config_hash_info{config_files="/a",error="DP \"x\\y\":\nno, {b=\"c\"}",hashes=""} 1.0
faucet_config_applied 0.5
`, report{files: []string{"/a"}, hashes: []string{""}, text: "/a", refused: "DP \"x\\y\":\nno, {b=\"c\"}"}, true},
		{"refused without a reason", "faucet_config_load_error 1.0\n", report{refused: "it does not say why"}, false},
		{"cut off", `faucet_config_hash_info{config_files="/a`, report{files: []string{"/a"}, hashes: []string{""}, text: "/a"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, known, err := parseMetrics(strings.NewReader(tt.text))
			if err != nil || known != tt.known {
				t.Error(known, err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(report{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHashOf(t *testing.T) {
	for _, tt := range []struct{ files, hashes, file, want string }{
		{"/a,/b", "1,2", "/b", "2"},
		{"/a,/b", "1,2", "/c", ""},
		{"/a", "", "/a", ""},
		{"/a,,b,/c", "1,2", "/a,,b", "1,2"},
		{"/a,,b,/c", "1,2", "/d", ""},
	} {
		r := report{text: tt.files, files: strings.Split(tt.files, ","), hashes: strings.Split(tt.hashes, ",")}
		if got := strings.Join(r.hashOf(tt.file), ","); got != tt.want {
			t.Errorf("%v: got %q", tt, got)
		}
	}
}

func TestScrapeErrors(t *testing.T) {
	f, cfg := newFake(t)
	ask := func(url string) string {
		_, err := newMetrics(url).scrape(t.Context())
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if got := ask(cfg.Metrics); got != "" {
		t.Error(got)
	}
	f.set(func(f *fakeFaucet) { f.noMetric = true })
	if got := ask(cfg.Metrics); got != `cannot ask Faucet at "`+cfg.Metrics+`/metrics" what it has loaded: the answer has no faucet_config_hash_info` {
		t.Error(got)
	}
	f.set(func(f *fakeFaucet) { f.stopped = true })
	if got := ask(cfg.Metrics + "/x"); got != `cannot ask Faucet at "`+cfg.Metrics+`/x" what it has loaded: 503 Service Unavailable` {
		t.Error(got)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if got := ask(gone.URL); !strings.HasPrefix(got, `cannot ask Faucet at "`+gone.URL+`/metrics" what it has loaded: dial tcp `) || !strings.HasSuffix(got, "connection refused") {
		t.Error(got)
	}
}
