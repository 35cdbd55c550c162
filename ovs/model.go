// SPDX-License-Identifier: Apache-2.0

package ovs

import "github.com/ovn-kubernetes/libovsdb/model"

// Keys of external_ids (ovs-vswitchd.conf.db(5), "Common Columns") by which a
// freshly started dovesnap knows its rows. A Bridge carries version, network
// and spec; a container's Port carries endpoint beside them, an uplink's Port
// uplink. A row without keyNetwork is somebody else's and is never changed.
const (
	keyVersion  = "dovesnap-version"  // spec.Version of the stored form
	keyNetwork  = "dovesnap-network"  // Docker's network ID
	keyEndpoint = "dovesnap-endpoint" // Docker's endpoint ID
	keyUplink   = "dovesnap-uplink"   // name of the host's interface
	keySpec     = "dovesnap-spec"     // spec.Network or spec.Endpoint as JSON
)

// The models name only the columns that dovesnap reads or writes, all of them
// present since OVS 2.13: libovsdb refuses to connect when a model has a column
// that the server's schema lacks. Interface statistics are left out, since
// vswitchd rewrites them every five seconds.

type openVSwitch struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	NextCfg     int               `ovsdb:"next_cfg"`
	CurCfg      int               `ovsdb:"cur_cfg"`
	OtherConfig map[string]string `ovsdb:"other_config"`
	Version     *string           `ovsdb:"ovs_version"`
}

type bridge struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	DatapathType string            `ovsdb:"datapath_type"`
	DatapathID   *string           `ovsdb:"datapath_id"`
	FailMode     *string           `ovsdb:"fail_mode"`
	Controller   []string          `ovsdb:"controller"`
	Ports        []string          `ovsdb:"ports"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
}

type port struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type iface struct {
	UUID          string            `ovsdb:"_uuid"`
	Name          string            `ovsdb:"name"`
	Type          string            `ovsdb:"type"`
	OFPort        *int              `ovsdb:"ofport"`
	OFPortRequest *int              `ovsdb:"ofport_request"`
	MTURequest    *int              `ovsdb:"mtu_request"`
	Error         *string           `ovsdb:"error"`
	ExternalIDs   map[string]string `ovsdb:"external_ids"`
}

type controller struct {
	UUID           string            `ovsdb:"_uuid"`
	Target         string            `ovsdb:"target"`
	ConnectionMode *string           `ovsdb:"connection_mode"`
	MaxBackoff     *int              `ovsdb:"max_backoff"`
	IsConnected    bool              `ovsdb:"is_connected"`
	Role           *string           `ovsdb:"role"`
	Status         map[string]string `ovsdb:"status"`
}

const (
	tableRoot      = "Open_vSwitch"
	tableBridge    = "Bridge"
	tablePort      = "Port"
	tableInterface = "Interface"
)

func clientModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		tableRoot:      &openVSwitch{},
		tableBridge:    &bridge{},
		tablePort:      &port{},
		tableInterface: &iface{},
		"Controller":   &controller{},
	})
}
