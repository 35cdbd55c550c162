// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dovesnap/whole"
)

// ovsdbDaemon drives ovsdb-server.
type ovsdbDaemon struct {
	cfg Config
	log *slog.Logger
}

func newOVSDB(cfg Config, log *slog.Logger) *ovsdbDaemon {
	return &ovsdbDaemon{cfg: cfg, log: log.With("child", ovsdbServer)}
}

func (d *ovsdbDaemon) Adopt(ctx context.Context) (process, error) {
	return adopted(d.cfg.adopt(ctx, ovsdbServer))
}

// adopted keeps a nil *proc from becoming a process that is not nil.
func adopted(p *proc, err error) (process, error) {
	if p == nil || err != nil {
		return nil, err
	}
	return p, nil
}

func (d *ovsdbDaemon) Prepare(ctx context.Context) error {
	if err := d.cfg.clean(ctx, ovsdbServer, d.log); err != nil {
		return err
	}
	return d.cfg.prepareDatabase(ctx, d.log)
}

func (d *ovsdbDaemon) Launch(ctx context.Context) (process, error) {
	argv, err := d.command(ctx)
	if err != nil {
		return nil, err
	}
	return adopted(d.cfg.launch(ovsdbServer, argv))
}

func (d *ovsdbDaemon) command(context.Context) ([]string, error) {
	return d.cfg.argv(ovsdbServer, d.cfg.database(),
		"--remote=punix:"+d.cfg.socket(),
		"--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--private-key=db:Open_vSwitch,SSL,private_key",
		"--certificate=db:Open_vSwitch,SSL,certificate",
		"--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert")
}

// Ready writes what identifies this installation, as ovs-ctl does, before it
// calls the database ready: OVN, monitoring and people key on it. On a full disk
// that may fail, while ovs-vswitchd needs the rest.
func (d *ovsdbDaemon) Ready(ctx context.Context, p process) error {
	if err := d.cfg.answers(ctx); err != nil {
		return err
	}
	version, err := d.cfg.version(ctx, ovsdbServer, p.PID())
	if err != nil {
		return err
	}
	if d.cfg.installed() != nil {
		return nil // it goes on after its programs, and is there to be cleaned up
	}
	err = d.configure(ctx, lastField(version))
	if unwritable(err) {
		d.log.Warn("the Open vSwitch database is served, but cannot be written", "err", err)
		return nil
	}
	return err
}

func (d *ovsdbDaemon) Live(ctx context.Context, _ process, patience time.Duration) error {
	return d.cfg.within(patience).answers(ctx)
}

// configure is `ovs-vsctl init` and the settings that ovs-ctl makes. Run again,
// it changes nothing.
func (d *ovsdbDaemon) configure(ctx context.Context, ovsVersion string) error {
	results, err := d.cfg.transact(ctx, selectRoot())
	if err != nil {
		return err
	}
	if len(results[0].Rows) == 0 {
		if _, err := d.cfg.transact(ctx, op{"op": "insert", "table": "Open_vSwitch", "row": map[string]any{}}); err != nil {
			return err
		}
	}
	now, err := d.cfg.root(ctx)
	if err != nil {
		return err
	}
	id, err := d.cfg.systemID(now.ids["system-id"])
	if err != nil {
		return err
	}
	schema, err := schemaVersion(d.cfg.Schema)
	if err != nil {
		return err
	}
	osName, osVersion := release("/etc/os-release")
	ids := map[string]string{"system-id": id, "rundir": d.cfg.RunDir}
	if host, err := os.Hostname(); err == nil && now.ids["hostname"] == "" {
		ids["hostname"] = host
	}
	_, err = d.cfg.transact(ctx,
		op{"op": "update", "table": "Open_vSwitch", "where": []any{}, "row": map[string]any{
			"db_version": schema, "ovs_version": ovsVersion, "system_type": osName, "system_version": osVersion}},
		mutateRoot(put("external_ids", ids)...))
	return err
}

// systemID is generated once per host and then kept: first choice is the file,
// then what the database says, as after a hand-over from a distribution's units.
func (c Config) systemID(known string) (string, error) {
	path := filepath.Join(c.DBDir, "system-id.conf")
	if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "" {
		return strings.TrimSpace(string(b)), nil
	}
	if known == "" {
		b, err := os.ReadFile("/proc/sys/kernel/random/uuid")
		if err != nil {
			return "", fmt.Errorf("cannot generate a system-id: %w", err)
		}
		known = strings.TrimSpace(string(b))
	}
	err := c.noteCreated("system-id.conf")
	if err == nil {
		err = whole.Write(path, []byte(known+"\n"), 0o644, nil)
	}
	if err != nil {
		return "", fmt.Errorf("cannot keep the system-id: %w", err)
	}
	return known, nil
}

func schemaVersion(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var schema struct{ Version string }
	if err := json.Unmarshal(b, &schema); err != nil {
		return "", fmt.Errorf("cannot read schema %q: %w", path, err)
	}
	if schema.Version == "" {
		return "", errors.New("cannot find a version in schema " + path)
	}
	return schema.Version, nil
}

// release reads ID and VERSION_ID of os-release(5); either may be unknown.
func release(path string) (name, version string) {
	name, version = "unknown", "unknown"
	b, _ := os.ReadFile(path) // a host without one is an unknown system
	for _, line := range strings.Split(string(b), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return name, version
}

func lastField(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[len(f)-1]
	}
	return ""
}
