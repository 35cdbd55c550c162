// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"
)

// What inspect shows parses to the very network that CreateNetwork made.
func TestViewIsWhatCreateNetworkCarried(t *testing.T) {
	d, e := serve(t), &engine{}
	w := watch(t, d, e)
	v := next(t, e.views)
	got, ok := v.Networks[netID]
	if !ok || got.Name != "mynet" {
		t.Fatalf("view: %+v", v)
	}
	n, err := spec.ParseNetwork(got.Request)
	if err != nil || n.Mode != spec.NAT || n.DPID != 1 || n.Gateway(netip.MustParseAddr("172.12.0.8")).String() != "172.12.0.1" {
		t.Errorf("network: %+v, %v", n, err)
	}
	ep := got.Endpoints[epID]
	if ep.Container != "box" || ep.Request.Address != "172.12.0.8/24" || ep.Request.MAC != "02:42:ac:0c:00:08" {
		t.Errorf("endpoint: %+v", ep)
	}
	if !ep.Labelled || ep.Labels["dovesnap.faucet.portacl"] != "strict" || ep.Running {
		t.Errorf("endpoint: %+v", ep)
	}
	if d.count(`/networks?{"driver":{"bridge":true,"dovesnap":true,"ovs":true}}`) != 1 || d.count("/containers/json") != 1 {
		t.Errorf("asked %q", d.asked)
	}
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

// Docker's own bridges are known by the names that they have on the host.
func TestViewHasDockersBridges(t *testing.T) {
	d, e := serve(t), &engine{}
	d.set("/networks", `[{"Name":"mynet","Id":"`+netID+`","Driver":"ovs"},
{"Name":"bridge","Id":"b100","Driver":"bridge","Options":{"com.docker.network.bridge.name":"docker0"}},
{"Name":"b","Id":"b2`+netID[2:]+`","Driver":"bridge","Options":null},
{"Name":"c","Id":"b3`+netID[2:]+`","Driver":"bridge","Internal":true,"Options":{"com.docker.network.bridge.name":"inner"}}]`)
	watch(t, d, e)
	v := next(t, e.views)
	if want := []string{"docker0", "br-b20000000000", "inner"}; !slices.Equal(v.Bridges, want) || len(v.Networks) != 1 {
		t.Errorf("bridges %q, want %q; networks %v", v.Bridges, want, v.Networks)
	}
	if n := d.count("/networks/b"); n != 0 {
		t.Errorf("%d of them were inspected", n)
	}
	// One more, which no container is on yet.
	d.set("/networks", "[]")
	d.events <- strings.ReplaceAll(networkEvent("create", "bridge"), netID, "b4")
	if v := next(t, e.views); len(v.Bridges) != 0 {
		t.Errorf("bridges %q", v.Bridges)
	}
}

// A container that Docker does not list has no known labels, which is not none.
func TestViewWithoutTheContainer(t *testing.T) {
	d, e := serve(t), &engine{}
	d.set("/containers/json", "[]")
	watch(t, d, e)
	if ep, ok := next(t, e.views).Networks[netID].Endpoints[epID]; !ok || ep.Labelled {
		t.Errorf("endpoint: %v, %+v", ok, ep)
	}
}

func TestViewOfARunningContainer(t *testing.T) {
	d, e := serve(t), &engine{}
	d.set("/containers/json", strings.Replace(listed, "%s", "paused", 1))
	watch(t, d, e)
	if ep := next(t, e.views).Networks[netID].Endpoints[epID]; !ep.Running || ep.Request.Options != nil {
		t.Errorf("endpoint: %+v", ep)
	}
	if n := d.count("/containers/" + boxID); n != 0 {
		t.Errorf("the container was inspected %d times", n)
	}
}

// An endpoint that is to be restored comes with its driver-opts; its MAC address
// has the prefix already.
func TestEndpointToRestore(t *testing.T) {
	d, e := serve(t), &engine{lacks: true}
	d.set("/containers/json", strings.Replace(listed, "%s", "running", 1))
	watch(t, d, e)
	ep := next(t, e.views).Networks[netID].Endpoints[epID]
	got, err := spec.ParseEndpoint(ep.Request)
	if err != nil || got.VLAN != 20 || got.MAC != "02:42:ac:0c:00:08" {
		t.Errorf("endpoint: %+v, %v", got, err)
	}
}

// To inspect a container that starts would wait for it, maybe for ever.
func TestEndpointOfAContainerThatStartsIsNotRestored(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"starting":   {"/containers/json": strings.Replace(listed, "%s", "created", 1), "/containers/" + boxID + "/json": "hang"},
		"connecting": {"/containers/json": strings.Replace(strings.Replace(listed, "%s", "running", 1), epID, "old", 1), "/containers/" + boxID + "/json": "hang"},
		"removed":    {"/containers/json": strings.Replace(listed, "%s", "running", 1), "/containers/" + boxID + "/json": ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := serve(t), &engine{lacks: true}
			for path, answer := range answers {
				d.set(path, answer)
			}
			watch(t, d, e)
			if v := next(t, e.views); len(v.Networks[netID].Endpoints) != 0 || v.Networks[netID].Name != "mynet" {
				t.Errorf("view: %+v", v)
			}
		})
	}
}

// One that Docker shows too late is in the next view, which comes soon: no event tells
// of it.
func TestLateEndpointIsRestoredSoon(t *testing.T) {
	t.Parallel()
	d, e := serve(t), &engine{lacks: true}
	d.set("/containers/json", strings.Replace(listed, "%s", "running", 1))
	d.set("/containers/"+boxID+"/json", "hang", inspectedBox)
	watch(t, d, e)
	for _, want := range []int{0, 1} {
		if v := next(t, e.views); len(v.Networks[netID].Endpoints) != want {
			t.Errorf("%d endpoints, want %d", len(v.Networks[netID].Endpoints), want)
		}
	}
}

// However many containers hang, the engine hears of the rest.
func TestViewBesideContainersThatHang(t *testing.T) {
	t.Parallel()
	d, e := serve(t), &engine{lacks: true}
	var containers, members []string
	for i := range 48 { // more than can be waited for in the time of a view
		box, ep := fmt.Sprintf("c%063d", i), fmt.Sprintf("e%063d", i)
		containers = append(containers, fmt.Sprintf(`{"Id":%q,"State":"running","NetworkSettings":{"Networks":{"mynet":{"EndpointID":%q}}}}`, box, ep))
		members = append(members, fmt.Sprintf(`%q:{"Name":"box","EndpointID":%q}`, box, ep))
		d.set("/containers/"+box+"/json", "hang")
	}
	d.set("/containers/json", "["+strings.Join(containers, ",")+"]")
	d.set("/networks/"+netID, strings.Replace(inspected, `"Containers":{`, `"Containers":{`+strings.Join(members, ",")+",", 1))
	watch(t, d, e)
	if v := next(t, e.views); v.Networks[netID].Name != "mynet" || len(v.Networks[netID].Endpoints) != 0 {
		t.Errorf("view: %+v", v)
	}
}

// The engine takes nothing before Open vSwitch is there.
func TestViewIsOfferedUntilItIsTaken(t *testing.T) {
	d, e := serve(t), &engine{err: errors.New("not ready")}
	d.set("/networks/"+netID, "") // no endpoint: See is what fails
	watch(t, d, e)
	next(t, e.views)
	next(t, e.views)
}

func TestNullIPAMHasNoSubnet(t *testing.T) {
	d, e := serve(t), &engine{}
	d.set("/networks/"+netID, strings.Replace(strings.Replace(inspected, `"Driver":"default"`, `"Driver":"null"`, 1),
		`"Subnet":"172.12.0.0/24","IPRange":"172.12.0.8/29","Gateway":"172.12.0.1"`, `"Subnet":"0.0.0.0/0"`, 1))
	watch(t, d, e)
	if v := next(t, e.views); len(v.Networks[netID].Request.Subnets) != 0 {
		t.Errorf("subnets: %+v", v.Networks[netID].Request.Subnets)
	}
}
