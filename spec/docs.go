// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const optionsHead = `# Network options

<!-- Generated from the option table of package spec. Do not edit: change the table, then run "go test ./spec -update". -->

Options of ` + "`docker network create -d ovs`" + `, each given as ` + "`-o OPTION=VALUE`" + `. The driver answers to two names, ` + "`ovs` and `dovesnap`" + `; they mean the same. ` + "`dovesnap options`" + ` prints this list.

An option that is unknown, given a bad value or not available yet is refused with an error that names it; all bad options are reported at once. Two networks cannot share a datapath id, a bridge name, an added port or, in modes nat and routed, a subnet.

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

const optionsTail = `
## Docker's own options

| Option | Meaning |
|---|---|
| ` + "`--subnet`, `--ip-range`, `--gateway`" + ` | As for every driver. Modes nat and routed need a gateway, which the host then is. In mode flat the gateway is a router on that LAN. |
| ` + "`--internal`" + ` | Changes nothing here: the mode decides what leaves a network. Old compose files pass it together with mode nat and mean NAT. For a network that nothing leaves, use mode flat without added ports. |
| ` + "`-o com.docker.network.driver.mtu`" + ` | The same as ` + "`ovs.bridge.mtu`" + `. |
| ` + "`--ip`, `--ip6`, `--mac-address`" + ` of ` + "`docker run`" + ` | As for every driver. |
| ` + "`-p`" + ` of ` + "`docker run`" + ` | Refused: publishing ports is not available yet. Containers of one network reach each other without it. |
`

// WriteOptionsMarkdown writes docs/options.md.
func WriteOptionsMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(optionsHead)
	b.WriteString("## Options\n\n")
	optionRows(&b, false)
	b.WriteString("\n## Not available yet\n\nKnown and refused, so that a network never silently lacks what was asked for.\n\n")
	optionRows(&b, true)
	b.WriteString(optionsTail)
	_, err := io.WriteString(w, b.String())
	return err
}

func optionRows(b *strings.Builder, later bool) {
	b.WriteString("| Option | Value | Default | Meaning |\n|---|---|---|---|\n")
	for _, o := range Options {
		if o.Later == later {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, orDash(o.Syntax), orDash(o.Default), o.Help)
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// WriteOptions writes the table as plain text for a terminal, one line per
// option.
func WriteOptions(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OPTION\tDEFAULT\tVALUE")
	for _, o := range Options {
		value := plain(o.Syntax)
		switch {
		case o.Later:
			value = "not available yet"
		case value == "":
			value = "refused"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", o.Name, plain(orDash(o.Default)), value)
	}
	return t.Flush()
}

// plain takes Markdown's code quotes off.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
