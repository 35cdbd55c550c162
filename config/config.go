// SPDX-License-Identifier: Apache-2.0

// Package config is the daemon's configuration: one file, environment variables
// and flags, read once into one validated Config.
//
// One table holds every key. It parses, and it writes the flags, the example
// file and docs/configuration.md. A flag wins over the environment, which wins
// over the file, which wins over the default.
//
// Be aware:
//   - Whatever is given is checked, even where something stronger overrides it:
//     a mistake in the file must not wait for the day a flag is dropped.
//   - An environment variable that is empty counts as not set, and so does a
//     key of the file without a value. An unknown key or DOVESNAP_ variable is
//     an error, never ignored.
//   - Networks have their own options (package spec); only what belongs to the
//     host is here.
package config

import (
	"log/slog"
	"strings"
	"time"

	"dovesnap/spec"
)

// DefaultFile is read when no other file is named; it may be missing.
const DefaultFile = "/etc/dovesnap/dovesnap.yaml"

// LogFormat is the form of the log's lines.
type LogFormat string

// The values of log.format.
const (
	LogAuto LogFormat = "auto" // text; without a time where the journal adds one
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// OVSMode says whose Open vSwitch it is.
type OVSMode string

// The values of ovs.mode.
const (
	OVSAuto    OVSMode = "auto"    // attach to one that runs, else manage
	OVSManaged OVSMode = "managed" // start and watch ovsdb-server and ovs-vswitchd
	OVSAttach  OVSMode = "attach"  // use what somebody else runs
)

// NATBackend is the flavour of iptables.
type NATBackend string

// The values of nat.backend.
const (
	NATAuto   NATBackend = "auto" // the one that Docker's rules are in
	NATNft    NATBackend = "nft"
	NATLegacy NATBackend = "legacy"
)

// FaucetMode says who writes Faucet's configuration.
type FaucetMode string

// The values of faucet.mode.
const (
	FaucetOff  FaucetMode = "off"  // the operator, all of it
	FaucetFile FaucetMode = "file" // dovesnap, a file of its own that the operator's includes
	FaucetRPC  FaucetMode = "rpc"  // dovesnap, through faucetconfrpc
)

// Config is the validated configuration; its fields are named after the keys.
type Config struct {
	Log struct {
		Level  slog.Level
		Format LogFormat
	}
	OVS struct {
		Mode   OVSMode
		RunDir string // sockets and pidfiles: OVS's rundir
		DBDir  string // conf.db: OVS's dbdir
	}
	RunDir string
	Plugin struct {
		Dir   string
		Names []string // at least one
	}
	Docker struct {
		Host string // as DOCKER_HOST
	}
	Controllers []spec.Controller // of networks that name none
	NAT         struct {
		Backend NATBackend
	}
	Faucet struct {
		Mode    FaucetMode
		Config  string // the operator's faucet.yaml
		File    string // dovesnap's
		Reload  string // auto, watch, systemd:UNIT or pidfile:PATH
		Metrics string // http://HOST:PORT
		Labels  bool
		RPC     struct {
			Address    string // HOST:PORT
			ServerName string // in its certificate; "": the address's host
			CA, Cert   string // files
			Key        string
			KeyDir     string // or a directory with all three
			Client     string // whose they are there
		}
	}
	Sweep struct {
		Grace time.Duration
	}
	Reconcile struct {
		Interval time.Duration
	}
}

// setting is one row of the table.
type setting struct {
	key    string // as in the file: section.name
	syntax string
	value  string // the default, as text
	list   bool   // a list in the file, comma-separated elsewhere
	help   string
	set    func(*Config, string) error
}

var settings = []setting{
	{key: "log.level", syntax: "`debug`, `info`, `warn` or `error`", value: "info", set: setLogLevel,
		help: "The least severe that is logged."},
	{key: "log.format", syntax: "`auto`, `text` or `json`", value: "auto", set: setLogFormat,
		help: "`auto` is text, without the time where the log goes to the journal, which has its own."},
	{key: "ovs.mode", syntax: "`auto`, `managed` or `attach`", value: "auto", set: setOVSMode,
		help: "Whose Open vSwitch it is. `managed`: dovesnap starts and watches it. `attach`: somebody else does. `auto`: attach to one that runs, else manage."},
	{key: "ovs.run_dir", syntax: "directory", value: "/run/openvswitch", set: func(c *Config, v string) error { return setDir(&c.OVS.RunDir, v) },
		help: "Open vSwitch's sockets and pidfiles. Elsewhere than here, `ovs-vsctl` needs to be told."},
	{key: "ovs.db_dir", syntax: "directory", value: "/etc/openvswitch", set: func(c *Config, v string) error { return setDir(&c.OVS.DBDir, v) },
		help: "The directory of Open vSwitch's database, `conf.db`."},
	{key: "run_dir", syntax: "directory", value: "/run/dovesnap", set: func(c *Config, v string) error { return setDir(&c.RunDir, v) },
		help: "dovesnap's own runtime files, among them the socket that `dovesnap status` asks."},
	{key: "plugin.dir", syntax: "directory", value: "/run/docker/plugins", set: func(c *Config, v string) error { return setDir(&c.Plugin.Dir, v) },
		help: "Where Docker looks for the sockets of plugins."},
	{key: "plugin.names", syntax: "list of names", value: "ovs,dovesnap", list: true, set: setPluginNames,
		help: "The names of the network driver, `docker network create -d NAME`. A network is bound to the name that it was created with."},
	{key: "docker.host", syntax: "`unix://PATH` or `tcp://HOST:PORT`", value: "unix:///var/run/docker.sock", set: setDockerHost,
		help: "Docker's API, which is read for the names of networks and containers and to find what was removed meanwhile."},
	{key: "controllers", syntax: "list of `tcp:IP[:PORT]`, `ssl:IP[:PORT]`, `unix:FILE`, `ptcp:[PORT][:IP]`, `pssl:[PORT][:IP]`", list: true, set: setControllers,
		help: "The OpenFlow controllers of networks that name none with `ovs.bridge.controller`."},
	{key: "faucet.mode", syntax: "`off`, `file` or `rpc`", value: "off", set: setFaucetMode,
		help: "Who writes Faucet's configuration. `off`: you do, all of it. `file`: dovesnap writes a file of its own, which yours includes. `rpc`: dovesnap tells a faucetconfrpc server, for a Faucet elsewhere."},
	{key: "faucet.config", syntax: "file", value: "/etc/faucet/faucet.yaml", set: func(c *Config, v string) error { return setFile(&c.Faucet.Config, v) },
		help: "Mode file: your configuration of Faucet, which is read for clashes and never written but by `dovesnap faucet init`."},
	{key: "faucet.file", syntax: "file", value: "/etc/faucet/dovesnap.yaml", set: func(c *Config, v string) error { return setFile(&c.Faucet.File, v) },
		help: "Mode file: dovesnap's part of it, which is wholly dovesnap's."},
	{key: "faucet.reload", syntax: "`auto`, `watch`, `systemd:UNIT` or `pidfile:FILE`", value: "auto", set: setFaucetReload,
		help: "How Faucet learns of a change, in modes file and rpc. `watch`: it looks by itself every few seconds (`FAUCET_CONFIG_STAT_RELOAD=1`). `systemd:UNIT`: that unit is reloaded. `pidfile:FILE`: the process whose number is in the file gets a HUP, which the daemon's unit may send only where Faucet runs as root. `auto`: in mode file the unit faucet.service where it runs, else watch."},
	{key: "faucet.metrics", syntax: "`http://HOST:PORT`", value: "http://127.0.0.1:9302", set: setFaucetMetrics,
		help: "Faucet's own metrics, by which it is seen that Faucet has a configuration. A container that asks for an ACL other than the default is let through when it is."},
	{key: "faucet.labels", syntax: "`true` or `false`", value: "true", set: setFaucetLabels,
		help: "Whether labels of containers count. They are known a moment after a container starts, and what it sends until then is dropped. With `false` only driver-opts count."},
	{key: "faucet.rpc.address", syntax: "`HOST:PORT`", value: "localhost:59999", set: setRPCAddress,
		help: "Mode rpc: the faucetconfrpc server."},
	{key: "faucet.rpc.server_name", syntax: "name", set: setText(func(c *Config) *string { return &c.Faucet.RPC.ServerName }),
		help: "Mode rpc: the name in the server's certificate; without one, the host of the address."},
	{key: "faucet.rpc.ca", syntax: "file", set: optionalFile(func(c *Config) *string { return &c.Faucet.RPC.CA }),
		help: "Mode rpc: the certificate of the authority that the server's must be of."},
	{key: "faucet.rpc.cert", syntax: "file", set: optionalFile(func(c *Config) *string { return &c.Faucet.RPC.Cert }),
		help: "Mode rpc: dovesnap's certificate. It is read anew when it changes."},
	{key: "faucet.rpc.key", syntax: "file", set: optionalFile(func(c *Config) *string { return &c.Faucet.RPC.Key }),
		help: "Mode rpc: its private key."},
	{key: "faucet.rpc.keydir", syntax: "directory", value: "/opt/faucetconfrpc", set: func(c *Config, v string) error { return setFile(&c.Faucet.RPC.KeyDir, v) },
		help: "Mode rpc: where those of the three are that are not given, as CLIENT.crt, CLIENT.key and SERVER-ca.crt."},
	{key: "faucet.rpc.client", syntax: "name", value: "faucetconfrpc", set: setText(func(c *Config) *string { return &c.Faucet.RPC.Client }),
		help: "Mode rpc: CLIENT in the names of these files."},
	{key: "nat.backend", syntax: "`auto`, `nft` or `legacy`", value: "auto", set: setNATBackend,
		help: "The flavour of iptables. `auto` takes the one that Docker's rules are in."},
	{key: "sweep.grace", syntax: "duration from 1s to 24h", value: "2m", set: func(c *Config, v string) error { return setDuration(&c.Sweep.Grace, v, 24*time.Hour) },
		help: "How long Docker must not have known an endpoint before it is removed."},
	{key: "reconcile.interval", syntax: "duration from 1s to 1h", value: "30s", set: func(c *Config, v string) error { return setDuration(&c.Reconcile.Interval, v, time.Hour) },
		help: "How often everything is compared with what should be, and repaired."},
}

// flag returns log.level's flag, log-level.
func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

// env returns log.level's environment variable, DOVESNAP_LOG_LEVEL.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}
