// SPDX-License-Identifier: Apache-2.0

package vm

import "fmt"

const faucetConfig = "/etc/faucet/faucet.yaml"

// Faucet starts Faucet in the guest with config, the text of a faucet.yaml, or
// gives the one that runs another, and returns when it has read it. It listens on
// port 6653.
func (g *Guest) Faucet(config string) {
	g.t.Helper()
	g.Write(faucetConfig, config)
	log := "/var/log/faucet/faucet.log"
	said := "Add new datapath"
	if _, code := g.Try("systemctl is-active --quiet faucet"); code == 0 {
		said = "Reloading configuration"
	}
	times := fmt.Sprintf("cat %s 2>/dev/null | grep -c %q", log, said)
	before := g.Sh(times + " || true")
	g.Sh("systemctl reload-or-restart faucet")
	g.Await("Faucet reading its configuration", fmt.Sprintf("test $(%s) -gt %s", times, before))
}
