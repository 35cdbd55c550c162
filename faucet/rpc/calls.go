// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"encoding/json"

	"dovesnap/faucet/rpc/internal/pb"
)

// Config returns the server's file, faucet.yaml, as the server would write it.
// When the last to write it was the server, these are the bytes of the file, and
// their SHA-256 is the one in Faucet's metric faucet_config_hash_info.
func (c *Client) Config(ctx context.Context) (yaml string, err error) {
	err = c.call(ctx, "GetConfigFile", func(ctx context.Context, s pb.FaucetConfServerClient) error {
		r, err := s.GetConfigFile(ctx, &pb.GetConfigFileRequest{})
		yaml = r.GetConfigYaml()
		return err
	})
	return yaml, err
}

// ACLs returns the names of the ACLs that a port may refer to, those in included
// files too. The server refuses while its file has no valid datapath.
func (c *Client) ACLs(ctx context.Context) (names []string, err error) {
	err = c.call(ctx, "GetAclNames", func(ctx context.Context, s pb.FaucetConfServerClient) error {
		r, err := s.GetAclNames(ctx, &pb.GetAclNamesRequest{})
		names = r.GetAclName()
		return err
	})
	return names, err
}

// Merge merges yaml, a mapping, into the server's file: mappings key by key,
// while lists and scalars replace what was there. The same again changes nothing.
//
// With drop, the path of one key such as "dps", "n", "interface_ranges", that key
// is deleted first, and yaml may bring it again: what is merged under a dropped
// key replaces it whole. The server refuses when the key is not there.
func (c *Client) Merge(ctx context.Context, yaml string, drop ...string) error {
	path := ""
	if len(drop) > 0 {
		text, _ := json.Marshal(drop) // strings always can be; JSON is YAML
		path = string(text)
	}
	return c.call(ctx, "SetConfigFile", func(ctx context.Context, s pb.FaucetConfServerClient) error {
		_, err := s.SetConfigFile(ctx, &pb.SetConfigFileRequest{ConfigYaml: yaml, Merge: true, DelConfigYamlKeys: path})
		return err
	})
}

// DeleteDPs deletes datapaths, all in one, and the far ends of their stack links.
// One that is not there is no error; it may be the last one. The server refuses
// for one without "interfaces" (with interface_ranges only): Merge can drop that.
func (c *Client) DeleteDPs(ctx context.Context, names []string) error {
	request := &pb.DelDpsRequest{}
	for _, name := range names {
		request.InterfacesConfig = append(request.InterfacesConfig, &pb.DpInfo{Name: name})
	}
	return c.call(ctx, "DelDps", func(ctx context.Context, s pb.FaucetConfServerClient) error {
		_, err := s.DelDps(ctx, request)
		return err
	})
}
