// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What was wrong with what is no more is not wrong any more.
func TestProblemsGoWithTheirSubject(t *testing.T) {
	_, e, ep := withNetworkAndEndpoint(t)
	wrong := func(subjects ...string) {
		if err := e.do(within(t), func(context.Context) error {
			for _, s := range subjects {
				e.report(s, errInjected)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	wrong("links", SubjectEndpoint(ep.ID), "MAC of "+SubjectEndpoint(ep.ID), SubjectNetwork(ep.Network), "ports of "+SubjectNetwork(ep.Network))
	if err := e.DeleteEndpoint(within(t), ep.ID); err != nil {
		t.Fatal(err)
	}
	if got := len(e.Problems()); got != 3 {
		t.Errorf("without the endpoint: %v", e.Problems())
	}
	if err := e.DeleteNetwork(within(t), ep.Network); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"links": "injected"}, e.Problems()); diff != "" {
		t.Error(diff)
	}
}
