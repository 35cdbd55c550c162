// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"dovesnap/faucet/rpc"
)

// fakeServer is a faucetconfrpc that keeps its file in memory, and a Faucet that
// loads it at once.
type fakeServer struct {
	mu      sync.Mutex
	text    string
	down    bool
	refuse  map[string]string // why, by the name of a datapath
	writes  int
	mute    bool // carries out, but does not answer
	metrics *httptest.Server
	loads   string // what the Faucet has, "" when it keeps up
}

func newFakeServer(t *testing.T, text string) *fakeServer {
	s := &fakeServer{text: text, refuse: map[string]string{}}
	s.metrics = httptest.NewServer(s)
	t.Cleanup(s.metrics.Close)
	return s
}

func (s *fakeServer) set(edit func(*fakeServer)) { s.mu.Lock(); defer s.mu.Unlock(); edit(s) }

func (s *fakeServer) file() string { s.mu.Lock(); defer s.mu.Unlock(); return s.text }

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text := s.file()
	fmt.Fprintf(w, "faucet_config_load_error 0.0\nfaucet_config_hash_info{config_files=\"/x/faucet.yaml\",error=\"\",hashes=%q} 1.0\nfaucet_config_applied 1.0\n", version(text))
}

// doc is the server's file, or a mapping in it.
type doc = map[any]any

func (s *fakeServer) read() doc { return parseDoc(s.text) }

func parseDoc(text string) doc {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	d, _ := plain(v).(doc)
	return d
}

// plain makes every mapping a doc.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		out := doc{}
		for key, value := range v {
			out[key] = plain(value)
		}
		return out
	case doc:
		for key, value := range v {
			v[key] = plain(value)
		}
	}
	return v
}

func within(d doc, key string) doc { m, _ := d[key].(doc); return m }

func (s *fakeServer) answer() error {
	if s.down {
		return fmt.Errorf("the fake is down: %w", rpc.ErrUnreachable)
	}
	return nil
}

func (s *fakeServer) Config(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return block(s.read()), s.answer()
}

func (s *fakeServer) ACLs(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(within(s.read(), "dps")) == 0 {
		return nil, rpc.ErrRefused
	}
	names := []string{"included"}
	for name := range within(s.read(), "acls") {
		names = append(names, fmt.Sprint(name))
	}
	return names, s.answer()
}

func (s *fakeServer) change(edit func(doc) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.answer(); err != nil {
		return err
	}
	d := s.read()
	if err := edit(d); err != nil {
		return fmt.Errorf("%w: %v", rpc.ErrRefused, err)
	}
	ids := map[any]bool{}
	for name, dp := range within(d, "dps") {
		if why := s.refuse[name.(string)]; why != "" {
			return fmt.Errorf("%w: %s", rpc.ErrRefused, why)
		}
		id := dp.(doc)["dp_id"]
		if ids[id] {
			return fmt.Errorf("%w: DPID %v is duplicated", rpc.ErrRefused, id)
		}
		ids[id] = true
	}
	s.text = block(d)
	s.writes++
	if s.mute {
		return fmt.Errorf("no answer: %w", rpc.ErrUnreachable)
	}
	return nil
}

func (s *fakeServer) Merge(_ context.Context, text string, drop ...string) error {
	return s.change(func(d doc) error {
		at := d
		for i, key := range drop {
			if _, ok := at[key]; !ok {
				return fmt.Errorf("exception calling application: '%s'", key)
			}
			if i == len(drop)-1 {
				delete(at, key)
				break
			}
			at = within(at, key)
		}
		merge(d, parseDoc(text))
		return nil
	})
}

func merge(into, from doc) {
	for key, value := range from {
		a, ok1 := into[key].(doc)
		b, ok2 := value.(doc)
		if ok1 && ok2 {
			merge(a, b)
			continue
		}
		into[key] = value
	}
}

func (s *fakeServer) DeleteDPs(_ context.Context, names []string) error {
	return s.change(func(d doc) error {
		dps := within(d, "dps")
		if dps == nil {
			return fmt.Errorf("exception calling application: NoneType")
		}
		for _, name := range names {
			if dp, ok := dps[name].(doc); ok && dp["interfaces"] == nil {
				return fmt.Errorf("exception calling application: 'interfaces'")
			}
			delete(dps, name)
		}
		return nil
	})
}
