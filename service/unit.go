// SPDX-License-Identifier: Apache-2.0

package service

// mark is the first line of a unit of ours: install overwrites and uninstall
// removes no other.
const mark = `# Written by "dovesnap service install"; "dovesnap service uninstall" removes it.`

// unit is the template of kardianos/service's own small engine: keys without a
// dot, and no more functions than cmd and cmdEscape.
//
// The comments go into the file, for whoever reads it there.
const unit = mark + `
# Your changes belong into a drop-in: systemctl edit {{Name}}

[Unit]
Description={{Description}}
# While Docker boots it calls the driver and waits for no plugin: containers
# whose driver is missing then stay down. On the way down Docker stops first.
Before=docker.service
Wants=network-pre.target
After=network-pre.target local-fs.target
# Order only: an Open vSwitch of the distribution's must be seen, not raced.
After=openvswitch-switch.service openvswitch.service
# Never give up: other people's traffic hangs on it.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={{Path | cmdEscape}} run
EnvironmentFile=-/etc/default/{{Name}}
Restart=always
RestartSec=1
WatchdogSec=30
TimeoutStartSec=90
TimeoutStopSec=30
# ovsdb-server and ovs-vswitchd are children of this service and carry the
# traffic: they outlive its stop, crash and upgrade, and the next one adopts
# them. Any other KillMode would cut every container off. To stop them too:
# dovesnap down.
KillMode=process
# For the same reason one killed process does not take the others along, and
# the runtime files stay.
OOMPolicy=continue
OOMScoreAdjust=-900
RuntimeDirectory={{Name}}
RuntimeDirectoryPreserve=yes
# Inherited by ovs-vswitchd, which has files open per port and locks its memory.
LimitNOFILE=1048576
LimitMEMLOCK=infinity

[Install]
WantedBy=multi-user.target
`
