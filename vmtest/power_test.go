// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// storm makes and removes networks and containers without end, two of each at a
// time, and notes its steps in /run/steps.
const storm = `storm() {
	while :; do
		docker network create -d ovs -o ovs.bridge.mode=nat $1
		for n in 1 2 3; do
			docker run -d --restart=always --name $1-$n --net $1 busybox sleep inf
			echo >>/run/steps
		done
		docker rm -f $1-1 $1-2
		echo >>/run/steps
		docker rm -f $1-3
		docker network rm $1
		echo >>/run/steps
	done
}
storm storm1 &
storm storm2 &
wait`

// TestPowerCut cuts the power in the middle of a storm, several times: the host
// boots, what Docker lists is there and works, and nothing else is.
func TestPowerCut(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Installed(t, suite)
		g.Sh(`echo DOVESNAP_SWEEP_GRACE=10s >>/etc/default/dovesnap
			systemctl restart dovesnap
			sync`)
		before := g.State()
		create(g, "docker network create -d ovs -o ovs.bridge.mode=nat calm")
		run(g, "calm", "c1", "c2")
		numbersBefore := numbers(g)
		for _, steps := range []int{1, 4, 6} {
			task := g.Go(storm)
			g.Await("the storm", fmt.Sprintf("cat /run/steps && test $(wc -l </run/steps) -ge %d", steps))
			t.Log(task.Output())
			g.PowerCut()
			g.Booted()
			talk(g)
			healthy(g)
			t.Log(noLeaks(g))
			networksWork(g)
		}
		g.Sh("docker rm -f $(docker ps -aq --filter name=storm) || true; docker network prune -f")
		noLeaks(g)
		sameNumbers(t, g, numbersBefore)
		g.Sh("docker rm -f c1 c2; docker network rm calm")
		noLeaks(g)
		// Each boot backs the database up, and the newest three are kept.
		g.Same(before, "/conf.db.backup-")
		g.Sh("test $(ls $(dirname " + confDB + ") | grep -c backup-) -le 3")
	})
}

// networksWork fails the test unless every container that runs reaches its gateway,
// and one more can be started on every network: a dozen things that may each take a
// while.
func networksWork(g *vm.Guest) {
	g.Slow(4*vm.Patience, `for container in $(docker ps -q --no-trunc); do
			gateway=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}' $container)
			docker exec $container ping -c 1 -W 5 $gateway >/dev/null || { docker inspect $container; exit 1; }
		done
		for network in $(docker network ls -q --filter driver=ovs); do
			gateway=$(docker network inspect -f '{{range .IPAM.Config}}{{.Gateway}}{{end}}' $network)
			docker run --rm --net $network busybox ping -c 1 -W 5 ${gateway%/*} >/dev/null
		done`)
}

// noLeaks waits until every bridge, port, link and rule of dovesnap's belongs to a
// network or a running container that Docker lists, and each of those has its own;
// and returns Docker's list.
func noLeaks(g *vm.Guest) string {
	return g.Await("a host on which everything belongs to a network or container", `cd $(mktemp -d) || exit
		docker network ls -q --no-trunc --filter driver=ovs >networks || exit
		for network in $(cat networks); do
			docker network inspect -f '{{range .Containers}}{{slice .EndpointID 0 12}}{{println}}{{end}}' $network >>endpoints || exit
		done
		for bridge in $(ovs-vsctl --timeout=10 list-br); do
			ovs-vsctl get bridge $bridge external_ids:dovesnap-network >>bridges || exit
			for port in $(ovs-vsctl list-ports $bridge); do
				ovs-vsctl get port $port external_ids:dovesnap-endpoint >>ports || exit
			done
		done
		ip -o link >links
		grep -o ': dsb[^:@]*' links >bridge-links
		grep -o ': ds[^b][^:@]*' links >veths
		grep -o 'dovesnap network=.*endpoint=[0-9a-f]*' links | sed 's/.*endpoint=//' >aliases
		iptables-save | grep -o 'dovesnap:[0-9a-f]\{12\}' | sed s/dovesnap:// >rules
		ids() { touch $1; tr -d '" ' <$1 | sed -E 's/^:?ds.//' | cut -c1-12 | grep . | sort -u; }
		for of in networks:bridges networks:bridge-links networks:rules endpoints:ports endpoints:veths endpoints:aliases; do
			echo "Docker's ${of%:*} and ${of#*:}"
			diff <(ids ${of%:*}) <(ids ${of#*:}) || exit
		done
		echo; docker network ls --filter driver=ovs; docker ps -a
		rm -r "$PWD"`)
}
