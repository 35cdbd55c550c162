// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// NoteNetwork stores what changed of a network that is dovesnap's alone to know,
// such as its name. ovs-vswitchd does not look at external_ids, so that it's not
// waited for; a network without a bridge is fine.
func (s *Switch) NoteNetwork(ctx context.Context, n spec.Network) error {
	if err := s.note(ctx, tableBridge, keyNetwork, string(n.ID), n); err != nil {
		return fmt.Errorf("cannot store network %q: %w", n.ID.Short(), err)
	}
	return nil
}

// NotePort does so for an endpoint.
func (s *Switch) NotePort(ctx context.Context, e spec.Endpoint) error {
	if err := s.note(ctx, tablePort, keyEndpoint, string(e.ID), e); err != nil {
		return fmt.Errorf("cannot store endpoint %q: %w", e.ID.Short(), err)
	}
	return nil
}

// note replaces the stored value of the row with this mark.
func (s *Switch) note(ctx context.Context, table, key, id string, value any) error {
	ses, err := s.current()
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	// A map's insert leaves a key that is there as it is (RFC 7047 section 5.1).
	_, err = ses.transact(ctx, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: marked(key, id),
		Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, ovsdb.OvsSet{GoSet: []any{keySpec}}),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, asMap(map[string]string{keySpec: string(text)})),
		}})
	return err
}
