// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"fmt"
	"maps"
	"strings"

	"dovesnap/spec"
)

// report keeps what is wrong with a subject ("network 0123…", "packet filter")
// for dovesnap status, and logs it when it begins, changes and ends.
func (e *Engine) report(subject string, err error) {
	if err == nil {
		e.solved(subject)
		return
	}
	e.mu.Lock()
	known := e.problems[subject] == err.Error()
	e.problems[subject] = err.Error()
	e.mu.Unlock()
	if !known {
		e.log.Error("problem", "subject", subject, "err", err)
	}
}

func (e *Engine) solved(subject string) {
	e.mu.Lock()
	_, known := e.problems[subject]
	delete(e.problems, subject)
	e.mu.Unlock()
	if known {
		e.log.Info("solved", "subject", subject)
	}
}

// forget drops what is wrong with a network or an endpoint that is no more, and with
// what is part of it ("labels of endpoint 0123…").
func (e *Engine) forget(subject string) {
	for s := range e.Problems() {
		if s == subject || strings.HasSuffix(s, " "+subject) {
			e.solved(s)
		}
	}
}

func (e *Engine) troubled(subject string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.problems[subject] != ""
}

// Problems returns what is wrong now, by subject.
func (e *Engine) Problems() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.problems)
}

// Names are what people call things; Docker tells them only afterwards.
type Names struct {
	Networks   map[spec.NetworkID]string
	Containers map[spec.EndpointID]string
}

// Names returns what Docker last said.
func (e *Engine) Names() Names {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.names
}

func (e *Engine) networkName(id spec.NetworkID) string {
	if name := e.Names().Networks[id]; name != "" {
		return name
	}
	return id.Short()
}

// SubjectNetwork is the subject of a network's problems.
func SubjectNetwork(id spec.NetworkID) string { return fmt.Sprintf("network %s", id.Short()) }

// SubjectEndpoint is the subject of an endpoint's problems.
func SubjectEndpoint(id spec.EndpointID) string { return fmt.Sprintf("endpoint %s", id.Short()) }
