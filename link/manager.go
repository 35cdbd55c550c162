// SPDX-License-Identifier: Apache-2.0

package link

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const tellManager = "Have the network's manager leave the interface alone, or configure the bridge's link instead"

// manager names the program that configures a link: it would do so again when a
// lease is renewed, or when it is restarted. "" when none is known. root is "/".
func manager(root string, index int) string {
	for _, m := range []struct{ name, file, mark string }{
		{"systemd-networkd", "run/systemd/netif/links/", "NETWORK_FILE="}, // sd_network_link_get_network_file(3)
		{"NetworkManager", "run/NetworkManager/devices/", "managed=true"}, // NetworkManager(8)
	} {
		text, err := os.ReadFile(filepath.Join(root, m.file, strconv.Itoa(index)))
		if err == nil && strings.Contains(string(text), m.mark) {
			return m.name
		}
	}
	return ""
}
