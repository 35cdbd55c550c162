// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"dovesnap/config"
	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// load loads from a file of that text ("-": no file), variables and arguments.
func load(t *testing.T, text string, environ []string, args ...string) (config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dovesnap.yaml")
	if text != "-" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(fs, environ, file)
	if err != nil {
		// Tests name the file as FILE.
		return c, strError(strings.ReplaceAll(err.Error(), file, "FILE"))
	}
	return c, nil
}

type strError string

func (e strError) Error() string { return string(e) }

func defaults() config.Config {
	var c config.Config
	c.Log.Level = slog.LevelInfo
	c.Log.Format = config.LogAuto
	c.OVS.Mode = config.OVSAuto
	c.OVS.RunDir = "/run/openvswitch"
	c.OVS.DBDir = "/etc/openvswitch"
	c.RunDir = "/run/dovesnap"
	c.Plugin.Dir = "/run/docker/plugins"
	c.Plugin.Names = []string{"ovs", "dovesnap"}
	c.Docker.Host = "unix:///var/run/docker.sock"
	c.Faucet.Mode = config.FaucetOff
	c.Faucet.Config = "/etc/faucet/faucet.yaml"
	c.Faucet.File = "/etc/faucet/dovesnap.yaml"
	c.Faucet.Reload = "auto"
	c.Faucet.Metrics = "http://127.0.0.1:9302"
	c.Faucet.Labels = true
	c.Faucet.RPC.Address = "localhost:59999"
	c.Faucet.RPC.KeyDir = "/opt/faucetconfrpc"
	c.Faucet.RPC.Client = "faucetconfrpc"
	c.NAT.Backend = config.NATAuto
	c.Sweep.Grace = 2 * time.Minute
	c.Reconcile.Interval = 30 * time.Second
	return c
}

func TestDefaults(t *testing.T) {
	for _, text := range []string{"-", "", "# nothing\n", "log:\nrun_dir:\n", "{}"} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(defaults(), got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

const full = `
log: {level: debug, format: json}
ovs:
  mode: managed
  run_dir: /tmp/ovs/
  db_dir: /tmp/db
run_dir: /tmp/run
plugin:
  dir: /tmp/plugins
  names: [ovs]
docker:
  host: tcp://127.0.0.1:2375
controllers:
  - tcp:127.0.0.1:6653
  - ssl:[fd00::1]:6653
faucet:
  mode: rpc
  config: /tmp/faucet.yaml
  file: /tmp/dovesnap.yaml
  reload: pidfile:/tmp/faucet.pid
  metrics: http://192.0.2.1:9302/
  labels: true
  rpc:
    address: faucet:59999
    server_name: faucetconfrpc
    ca: /tmp/ca.crt
    cert: /tmp/client.crt
    key: /tmp/client.key
    keydir: /tmp/keys
    client: host1
nat:
  backend: legacy
sweep:
  grace: 1s
reconcile:
  interval: 1h
`

func TestEveryKey(t *testing.T) {
	want := config.Config{RunDir: "/tmp/run", Controllers: []spec.Controller{"tcp:127.0.0.1:6653", "ssl:[fd00::1]:6653"}}
	want.Log.Level = slog.LevelDebug
	want.Log.Format = config.LogJSON
	want.OVS.Mode = config.OVSManaged
	want.OVS.RunDir = "/tmp/ovs"
	want.OVS.DBDir = "/tmp/db"
	want.Plugin.Dir = "/tmp/plugins"
	want.Plugin.Names = []string{"ovs"}
	want.Docker.Host = "tcp://127.0.0.1:2375"
	want.Faucet.Mode = config.FaucetRPC
	want.Faucet.Config = "/tmp/faucet.yaml"
	want.Faucet.File = "/tmp/dovesnap.yaml"
	want.Faucet.Reload = "pidfile:/tmp/faucet.pid"
	want.Faucet.Metrics = "http://192.0.2.1:9302"
	want.Faucet.Labels = true
	want.Faucet.RPC.Address = "faucet:59999"
	want.Faucet.RPC.ServerName = "faucetconfrpc"
	want.Faucet.RPC.CA = "/tmp/ca.crt"
	want.Faucet.RPC.Cert = "/tmp/client.crt"
	want.Faucet.RPC.Key = "/tmp/client.key"
	want.Faucet.RPC.KeyDir = "/tmp/keys"
	want.Faucet.RPC.Client = "host1"
	want.NAT.Backend = config.NATLegacy
	want.Sweep.Grace = time.Second
	want.Reconcile.Interval = time.Hour

	environ := []string{
		"PATH=/bin", "DOVESNAP_LOG_LEVEL=debug", "DOVESNAP_LOG_FORMAT=json", "DOVESNAP_OVS_MODE=managed", "DOVESNAP_OVS_RUN_DIR=/tmp/ovs",
		"DOVESNAP_OVS_DB_DIR=/tmp/db", "DOVESNAP_RUN_DIR=/tmp/run", "DOVESNAP_PLUGIN_DIR=/tmp/plugins", "DOVESNAP_PLUGIN_NAMES=ovs",
		"DOVESNAP_DOCKER_HOST=tcp://127.0.0.1:2375", "DOVESNAP_CONTROLLERS=tcp:127.0.0.1:6653,ssl:[fd00::1]:6653",
		"DOVESNAP_FAUCET_MODE=rpc", "DOVESNAP_FAUCET_CONFIG=/tmp/faucet.yaml", "DOVESNAP_FAUCET_FILE=/tmp/dovesnap.yaml",
		"DOVESNAP_FAUCET_RELOAD=pidfile:/tmp/faucet.pid", "DOVESNAP_FAUCET_METRICS=http://192.0.2.1:9302", "DOVESNAP_FAUCET_LABELS=true",
		"DOVESNAP_FAUCET_RPC_ADDRESS=faucet:59999", "DOVESNAP_FAUCET_RPC_SERVER_NAME=faucetconfrpc", "DOVESNAP_FAUCET_RPC_CA=/tmp/ca.crt",
		"DOVESNAP_FAUCET_RPC_CERT=/tmp/client.crt", "DOVESNAP_FAUCET_RPC_KEY=/tmp/client.key", "DOVESNAP_FAUCET_RPC_KEYDIR=/tmp/keys",
		"DOVESNAP_FAUCET_RPC_CLIENT=host1",
		"DOVESNAP_NAT_BACKEND=legacy", "DOVESNAP_SWEEP_GRACE=1s", "DOVESNAP_RECONCILE_INTERVAL=1h",
	}
	var args []string
	for _, item := range environ[1:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(item, "DOVESNAP_"), "=")
		args = append(args, "--"+strings.ToLower(strings.ReplaceAll(name, "_", "-"))+"="+value)
	}
	for name, got := range map[string]func() (config.Config, error){
		"file":        func() (config.Config, error) { return load(t, full, nil) },
		"environment": func() (config.Config, error) { return load(t, "-", environ) },
		"flags":       func() (config.Config, error) { return load(t, "-", nil, args...) },
	} {
		c, err := got()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	// A key without a value here would go untested.
	var empty func(v reflect.Value, at string)
	empty = func(v reflect.Value, at string) {
		for i := range v.NumField() {
			name := at + "." + v.Type().Field(i).Name
			if v.Field(i).Kind() == reflect.Struct {
				empty(v.Field(i), name)
			} else if v.Field(i).IsZero() {
				t.Errorf("%s has no value", name)
			}
		}
	}
	empty(reflect.ValueOf(want), "Config")
}

func TestPrecedence(t *testing.T) {
	const file, env, arg = "run_dir: /file", "DOVESNAP_RUN_DIR=/env", "--run-dir=/flag"
	for _, tt := range []struct {
		text    string
		environ []string
		args    []string
		want    string
	}{
		{"-", nil, nil, "/run/dovesnap"},
		{file, nil, nil, "/file"},
		{file, []string{env}, nil, "/env"},
		{file, []string{"DOVESNAP_RUN_DIR="}, nil, "/file"},
		{file, []string{env}, []string{arg}, "/flag"},
		{file, nil, []string{"--run-dir=/run/dovesnap"}, "/run/dovesnap"}, // the default, but said
		{"-", []string{env}, []string{arg}, "/flag"},
	} {
		c, err := load(t, tt.text, tt.environ, tt.args...)
		if err != nil || c.RunDir != tt.want {
			t.Errorf("%q %v %v: got %q, %v, want %q", tt.text, tt.environ, tt.args, c.RunDir, err, tt.want)
		}
	}
	c, err := load(t, "controllers: [tcp:127.0.0.1]", nil, "--controllers=")
	if err != nil || len(c.Controllers) != 0 {
		t.Errorf("no controllers by flag: got %v, %v", c.Controllers, err)
	}
}

func TestMistakes(t *testing.T) {
	long := "/" + strings.Repeat("a", 80)
	for _, tt := range []struct{ text, want string }{
		{"log:\n  levle: info", `FILE line 2: unknown key log.levle; did you mean log.level?`},
		{"loglevel: info", `FILE line 1: unknown key loglevel; did you mean log.level?`},
		{"controller: tcp:127.0.0.1", `FILE line 1: unknown key controller; did you mean controllers?`},
		{"log:\n  level: loud", `FILE line 2: log.level: "loud" is not debug, info, warn or error`},
		{"log: info", `FILE line 1: log is not a mapping of keys to values`},
		{"log: [info]", `FILE line 1: log is not a mapping`},
		{"- log", `FILE line 1: the file is not a mapping of keys to values`},
		{"run_dir: /a\nrun_dir: /b", `FILE line 2: run_dir is also on line 1`},
		{"log: {level: info}\nlog: {format: text}", `FILE line 2: log is also on line 1`},
		{"run_dir: [/a]", `FILE line 1: run_dir is not a plain value`},
		{"run_dir: {a: b}", `FILE line 1: run_dir is not a plain value`},
		{"a: &a /x\nrun_dir: *a", `FILE line 2: run_dir is not a plain value`},
		{"plugin: {names: [[ovs]]}", `FILE line 1: plugin.names: an item is not a plain value`},
		{"run_dir: /a\n---\nrun_dir: /b", `cannot parse file "FILE": more than one document`},
		{"log:\n\tlevel: info", `cannot parse file "FILE": line 2: found character that cannot start any token`},
		{"run_dir: run", `run_dir: "run" is not an absolute path`},
		{"run_dir: " + long, `is longer than 80 bytes`},
		{"log: {format: xml}", `log.format: "xml" is not auto, text or json`},
		{"ovs: {mode: own}", `ovs.mode: "own" is not auto, managed or attach`},
		{"faucet: {mode: on}", `faucet.mode: "on" is not off, file or rpc`},
		{"faucet: {config: faucet.yaml}", `faucet.config: "faucet.yaml" is not an absolute path`},
		{"faucet: {file: /etc/faucet/faucet.yaml}", `FILE line 1: faucet.file: "/etc/faucet/faucet.yaml" is both faucet.config, which is yours, and faucet.file, which dovesnap overwrites: give faucet.file another name`},
		{"faucet: {mode: file, file: /etc/faucet/../faucet//faucet.yaml}", `"/etc/faucet/faucet.yaml" is both faucet.config`},
		{"faucet: {config: /etc/faucet/./dovesnap.yaml}", `FILE line 1: faucet.config: "/etc/faucet/dovesnap.yaml" is both faucet.config`},
		{"faucet: {file: dovesnap.yaml}", `faucet.file: "dovesnap.yaml" is not an absolute path`},
		{"faucet: {reload: hup}", `faucet.reload: "hup" is not auto, watch, systemd:NAME.service or pidfile:/PATH`},
		{"faucet: {reload: 'systemd:faucet'}", `"systemd:faucet" is not auto`},
		{"faucet: {reload: 'pidfile:faucet.pid'}", `"pidfile:faucet.pid" is not auto`},
		{"faucet: {metrics: '127.0.0.1:9302'}", `faucet.metrics: "127.0.0.1:9302" is not http://HOST:PORT`},
		{"faucet: {metrics: 'http://h:1/metrics'}", `is not http://HOST:PORT`},
		{"faucet: {labels: maybe}", `faucet.labels: "maybe" is not true or false`},
		{"faucet: {rpc: {address: localhost}}", `faucet.rpc.address: "localhost" is not HOST:PORT`},
		{"faucet: {rpc: {address: 'localhost:0'}}", `faucet.rpc.address: "localhost:0" is not HOST:PORT`},
		{"faucet: {rpc: {ca: ca.crt}}", `faucet.rpc.ca: "ca.crt" is not an absolute path`},
		{"faucet: {rpc: {client: a/b}}", `faucet.rpc.client: "a/b" is not a name`},
		{"faucet: {rpc: {adress: x}}", `unknown key faucet.rpc.adress; did you mean faucet.rpc.address?`},
		{"nat: {backend: nftables}", `nat.backend: "nftables" is not auto, nft or legacy`},
		{"plugin: {names: []}", `plugin.names: "" is not a driver name`},
		{"plugin: {names: [a/b]}", `plugin.names: "a/b" is not a driver name`},
		{"plugin: {names: [ovs, ovs]}", `plugin.names: "ovs" is listed twice`},
		{"docker: {host: /var/run/docker.sock}", `docker.host: "/var/run/docker.sock" is not unix://PATH or tcp://HOST:PORT`},
		{"docker: {host: 'unix://docker.sock'}", `is not unix://PATH`},
		{"docker: {host: 'tcp://127.0.0.1'}", `is not unix://PATH`},
		{"docker: {host: 'ssh://root@host:22'}", `is not unix://PATH`},
		{"controllers: [127.0.0.1]", `controllers: "127.0.0.1" is not a controller`},
		{"controllers: 5", `controllers: "5" is not a controller`},
		{"sweep: {grace: 120}", `sweep.grace: "120" is not a duration such as 30s or 2m`},
		{"sweep: {grace: 999ms}", `sweep.grace: 999ms is not from 1s to 24h`},
		{"sweep: {grace: 25h}", `sweep.grace: 25h is not from 1s to 24h`},
		{"reconcile: {interval: 61m}", `reconcile.interval: 61m is not from 1s to 1h`},
	} {
		_, err := load(t, tt.text, nil)
		if err == nil {
			t.Errorf("%q: accepted", tt.text)
			continue
		}
		if !strings.HasPrefix(err.Error(), "cannot load configuration: ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := load(t, "log: {level: loud}\nnonsense: 1", []string{"DOVESNAP_NAT_BACKEND=pf", "DOVESNAP_RUNDIR=/x"}, "--ovs-mode=own", "--log-level=info")
	want := `cannot load configuration: FILE line 2: unknown key nonsense; ` +
		`unknown environment variable DOVESNAP_RUNDIR; did you mean DOVESNAP_RUN_DIR?; ` +
		`FILE line 1: log.level: "loud" is not debug, info, warn or error; ` +
		`DOVESNAP_NAT_BACKEND: "pf" is not auto, nft or legacy; ` +
		`--ovs-mode: "own" is not auto, managed or attach`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNamedFileMustBeReadable(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	for _, tt := range []struct {
		environ []string
		args    []string
		want    string
	}{
		{nil, []string{"--config=" + missing}, `cannot read file "` + missing + `": no such file or directory`},
		{[]string{"DOVESNAP_CONFIG=" + missing}, nil, `cannot read file "` + missing + `": no such file or directory`},
		{nil, []string{"--config=" + dir}, `cannot read file "` + dir + `": is a directory`},
	} {
		if _, err := load(t, "-", tt.environ, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v %v: got %v, want %s", tt.environ, tt.args, err, tt.want)
		}
	}
	good := filepath.Join(dir, "good.yaml")
	if err := os.WriteFile(good, []byte("run_dir: /flag"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "run_dir: /default", []string{"DOVESNAP_CONFIG=" + missing}, "--config="+good)
	if err != nil || c.RunDir != "/flag" {
		t.Errorf("the flag names the file: got %q, %v", c.RunDir, err)
	}
}

// TestExample loads the example as printed and with every key switched on.
func TestExample(t *testing.T) {
	var b bytes.Buffer
	if err := config.WriteExample(&b); err != nil {
		t.Fatal(err)
	}
	on := regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`).ReplaceAllString(b.String(), "$1$2")
	if on == b.String() {
		t.Fatal("nothing to switch on")
	}
	for _, text := range []string{b.String(), on} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if diff := cmp.Diff(defaults(), got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestPage holds docs/configuration.md to the table that parses.
func TestPage(t *testing.T) {
	const page = "../docs/configuration.md"
	var got bytes.Buffer
	if err := config.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s is not what the table says; run: go test ./config -update", page)
	}
}
