// SPDX-License-Identifier: Apache-2.0

package spec

const optionsHead = `# Network options

<!-- Generated from the option table of package spec. Do not edit: change the table, then run "go test ./spec -update". -->

Options of ` + "`docker network create -d ovs`" + `, each given as ` + "`-o OPTION=VALUE`" + `, and what a container can say for itself by [labels and driver-opts](#containers-labels-and-driver-opts). The driver answers to two names, ` + "`ovs` and `dovesnap`" + `; they mean the same. ` + "`dovesnap options`" + ` prints the lists.

What is unknown, given a bad value or not available yet is refused with an error that names it; everything bad is reported at once. Two networks cannot share a datapath id, a bridge name, an added port or, in modes nat and routed, a subnet.

The column Faucet tells the values of the configuration key ` + "`faucet.mode`" + ` with which an option can be had. With ` + "`off`" + `, the default, faucet.yaml is yours, and what only Faucet could do is refused.

## An example to copy

    docker network create mynet -d ovs \
      -o ovs.bridge.mode=nat \
      -o ovs.bridge.dpid=0x1 \
      -o ovs.bridge.controller=tcp:127.0.0.1:6653 \
      --subnet 172.12.0.0/24 --ip-range 172.12.0.8/29 --gateway 172.12.0.1
    docker run -td --net mynet busybox
    dovesnap status

No option is required: without a controller the bridge is a plain learning switch, without a datapath id a stable one is derived, and ` + "`--internal`" + ` is not needed.

The same in a compose file:

    networks:
      mynet:
        driver: ovs
        driver_opts:
          ovs.bridge.mode: nat
          ovs.bridge.dpid: "0x1"
          ovs.bridge.controller: tcp:127.0.0.1:6653
        ipam:
          config:
            - subnet: 172.12.0.0/24
              ip_range: 172.12.0.8/29
              gateway: 172.12.0.1

`

const keysHead = `
## Containers: labels and driver-opts

A driver-opt is for the container on one network, a label for the container on all of its networks. A driver-opt is there before the first packet and wins over the label of the same name. Labels without a value count as not there.

    docker run -td --network name=mynet,driver-opt=KEY=VALUE busybox
    docker network connect --driver-opt KEY=VALUE mynet CONTAINER
    docker run -td --net mynet --label KEY=VALUE busybox

In a compose file:

    services:
      web:
        image: busybox
        labels:
          dovesnap.faucet.portacl: guests
        networks:
          mynet:
            driver_opts:
              ovs.port.vlan: "20"

` + "`docker run --network name=…`" + ` puts all that it is given into lower case; for an ACL with capital letters use a label, a compose file or ` + "`docker network connect`" + `. A value with a comma needs quotes there: ` + "`--network 'name=mynet,\"driver-opt=KEY=10,20\"'`" + `.

`

const exprHelp = `
## ACLs, network by network

Where an ACL is asked for, several are applied in their order: ` + "`first,second`" + `. The ACLs themselves are in faucet.yaml. A value can tell networks apart, since one label serves a container on several of them: items joined by ` + "`/`" + `, each for any network or, as ` + "`NETWORK:ACL`" + `, for one. They are read from left to right, and the last one that fits wins.

| Value | On network ` + "`lab`" + ` | On any other |
|---|---|---|
| ` + "`guests`" + ` | guests | guests |
| ` + "`guests,log`" + ` | guests, then log | guests, then log |
| ` + "`lab:office`" + ` | office | the default |
| ` + "`guests/lab:office`" + ` | office | guests |
| ` + "`lab:office/guests`" + ` | guests | guests |
| ` + "`guests/lab:`" + ` | the default | guests |

The default is the network's ` + "`default_acl`" + ` for a container, and no ACL for everything else. In ` + "`add_ports`" + `, whose fields are separated by ` + "`/`" + ` and ` + "`,`" + `, there is room for one item with one ACL.
`

const examplesHead = `
## An example of each

Each line can be copied; ` + "`docker network rm mynet`" + ` makes room for the next network. Here eth1 to eth3 are spare interfaces of the host, and office and guests are ACLs in faucet.yaml.

`

const optionsTail = `
## Docker's own options

| Option | Meaning |
|---|---|
| ` + "`--subnet`, `--ip-range`, `--gateway`" + ` | As for every driver. Modes nat and routed need a gateway, which the host then is. In mode flat the gateway is a router on that LAN. |
| ` + "`--internal`" + ` | Changes nothing here: the mode decides what leaves a network. Old compose files pass it together with mode nat and mean NAT. For a network that nothing leaves, use mode flat without added ports. |
| ` + "`-o com.docker.network.driver.mtu`" + ` | The same as ` + "`ovs.bridge.mtu`" + `. |
| ` + "`--ip`, `--ip6`, `--mac-address`" + ` of ` + "`docker run`" + ` | As for every driver. |
| ` + "`-p`" + ` of ` + "`docker run`" + ` | In modes nat and routed, as for every driver, tcp, udp and sctp; ` + "`docker ps`" + ` cannot show them of any driver but Docker's own: ` + "`dovesnap ports`" + ` does ([publishing.md](publishing.md)). In mode flat a container is on the LAN with all its ports. |
`
