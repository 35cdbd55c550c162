// SPDX-License-Identifier: Apache-2.0

// Package systemd holds dovesnap's units: packages install these very files, and
// `dovesnap service install` writes them for a bare binary.
//
// Be aware: they name the program at [Program].
package systemd

import "embed"

// Program is the path that the units name.
const Program = "/usr/sbin/dovesnap"

// Units are the unit files, by name.
//
//go:embed *.service *.socket *.timer
var Units embed.FS

// Main is the one that is enabled; it brings the others.
const Main = "dovesnap.service"

// Others are the rest.
var Others = []string{"dovesnap.socket", "dovesnap-ovsdb.service", "dovesnap-vswitchd.service", "dovesnap-retry.timer", "dovesnap-mac@.service"}
