// SPDX-License-Identifier: Apache-2.0

package spec

import "strings"

// Example is a command of docs/options.md that shows one option, label or
// driver-opt; a test runs it as it is. It names the interfaces eth1 to eth3 and
// Faucet's ACLs office and guests, which must be there.
type Example struct {
	Name    string // of the option, label or driver-opt
	Kind    string // "option", "label" or "driver-opt"
	Command string // one line of shell
	Managed bool   // only under faucet.mode file or rpc
}

// ExampleNetwork makes the network that the examples of labels and driver-opts
// are for; those of options make their own, of the same name.
const ExampleNetwork = "docker network create -d ovs" + withFaucet + " mynet"

// Examples returns an example of everything that is available, in the order of
// the documentation.
func Examples() []Example {
	var out []Example
	for _, o := range Options {
		if o.Example != "" {
			out = append(out, Example{o.Name, "option", "docker network create -d ovs -o " + o.Name + "=" + o.Example + " mynet", strings.HasSuffix(o.Example, withFaucet)})
		}
	}
	for _, k := range PortKeys {
		if k.Example == "" {
			continue
		}
		needs := k.Faucet != anyMode
		if k.Label {
			out = append(out, Example{k.Name, label, "docker run -td --net mynet --label " + k.Name + "=" + k.Example + " busybox", needs})
		}
		opt := "driver-opt=" + k.Name + "=" + k.Example
		network := "name=mynet," + opt
		if strings.Contains(k.Example, ",") { // a comma needs quotes, for Docker and for the shell
			network = `'name=mynet,"` + opt + `"'`
		}
		out = append(out, Example{k.Name, driverOpt, "docker run -td --network " + network + " busybox", needs})
	}
	return out
}
