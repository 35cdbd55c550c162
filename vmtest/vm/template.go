// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/vmtest/agent"
)

// A template is a running machine that was saved: its kernel, and a directory
// with disk.qcow2 and state.
type template struct {
	*cached
	kernel string // directory with vmlinuz and initrd
}

// template files.
const (
	diskFile  = "disk.qcow2"
	stateFile = "state"
)

// prepare is what a machine does once before it becomes the template: everything
// that every test would wait for.
const prepare = `set -e
for image in busybox tools; do
	docker import --change 'CMD ["sh"]' /srv/images/$image.tar $image:latest >/dev/null
done
docker run --rm busybox true
rm -rf /srv/images /var/log/journal/*/*@*
sync
fstrim /`

// clean returns the template that is a booted machine with Docker running, and
// without Open vSwitch.
func clean(ctx context.Context, suite string, progress io.Writer) (*template, error) {
	base, err := image(ctx, suite, progress)
	if err != nil {
		return nil, err
	}
	k, err := stateKey(ctx)
	if err != nil {
		return nil, err
	}
	k = key(base.path, k, prepare)
	c, err := cache(suite+"-clean", k, base, func(dir string) error {
		fmt.Fprintf(progress, "booting %s's virtual machine, once, about a minute\n", suite)
		m := &machine{dir: dir, kernel: base.path, disk: filepath.Join(dir, diskFile)}
		if err := overlay(ctx, m.disk, filepath.Join(base.path, "disk.raw"), "raw"); err != nil {
			return err
		}
		if err := m.start(ctx, ""); err != nil {
			return err
		}
		defer m.kill()
		if err := m.booted(ctx); err != nil {
			return err
		}
		return m.become(ctx, prepare, dir)
	})
	if err != nil {
		return nil, err
	}
	return &template{c, base.path}, nil
}

// installed returns the template that is a clean machine on which a package was
// installed.
func installed(ctx context.Context, suite, deb string, progress io.Writer) (*template, error) {
	from, err := clean(ctx, suite, progress)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(deb)
	if err != nil {
		return nil, err
	}
	c, err := cache(suite+"-installed", key(from.path, string(text), install), from.cached, func(dir string) error {
		fmt.Fprintf(progress, "installing %s in %s's virtual machine, once\n", filepath.Base(deb), suite)
		m := &machine{dir: dir, kernel: from.kernel, disk: filepath.Join(dir, diskFile)}
		if err := from.start(ctx, m); err != nil {
			return err
		}
		defer m.kill()
		if err := m.put(ctx, text, "/root/dovesnap.deb", 0o644); err != nil {
			return err
		}
		return m.become(ctx, install, dir)
	})
	if err != nil {
		return nil, err
	}
	return &template{c, from.kernel}, nil
}

// install ends when the daemon says that it is ready and Open vSwitch runs.
const install = `set -e
apt-get -q -y install /root/dovesnap.deb
systemctl is-active dovesnap.service dovesnap-ovsdb.service dovesnap-vswitchd.service
ovs-vsctl --timeout=30 show
sync
fstrim /`

// prepared returns the template that is a machine on which the package and what
// prepare does were done, for all tests of this program.
func prepared(t testing.TB, ctx context.Context, suite, name string, prepare func(*Guest), progress io.Writer) (*template, error) {
	from, err := withPackage(ctx, suite, progress)
	if err != nil {
		return nil, err
	}
	// What prepare does is part of the program.
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return nil, err
	}
	c, err := cache(suite+"-"+name, key(from.path, string(program)), from.cached, func(dir string) error {
		fmt.Fprintf(progress, "preparing %s's virtual machine for tests of %s\n", suite, name)
		m := &machine{dir: dir, kernel: from.kernel, disk: filepath.Join(dir, diskFile)}
		if err := from.start(ctx, m); err != nil {
			return err
		}
		g := &Guest{Suite: suite, t: t, m: m}
		defer g.end()
		prepare(g)
		return m.become(ctx, "sync; fstrim /", dir)
	})
	if err != nil {
		return nil, err
	}
	return &template{c, from.kernel}, nil
}

// become runs a script in the machine and saves it as a template in dir.
func (m *machine) become(ctx context.Context, script, dir string) error {
	limited, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if out, err := m.sh(limited, script); err != nil {
		return fmt.Errorf("cannot prepare virtual machine: %w: %s", m.because(err), out)
	}
	return m.save(ctx, filepath.Join(dir, stateFile))
}

// start continues the template as machine m, on a disk of its own.
func (t *template) start(ctx context.Context, m *machine) error {
	if err := overlay(ctx, m.disk, filepath.Join(t.path, diskFile), "qcow2"); err != nil {
		return err
	}
	return m.start(ctx, filepath.Join(t.path, stateFile))
}

// boot boots machine m from the template's disk. It was synced when the template
// was saved: of what it lost, a machine whose power was cut then would know.
func (t *template) boot(ctx context.Context, m *machine) error {
	if err := overlay(ctx, m.disk, filepath.Join(t.path, diskFile), "qcow2"); err != nil {
		return err
	}
	if err := m.start(ctx, ""); err != nil {
		return err
	}
	return m.booted(ctx)
}

// overlay makes a disk that holds what is written over another.
func overlay(ctx context.Context, disk, backing, format string) error {
	return run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, disk)
}

// stateKey is what a saved state depends on beside the machine's disk.
func stateKey(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, "qemu-system-x86_64", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run qemu: %w", err)
	}
	return key(string(version), strings.Join(hardware, " ")), nil
}

// waitForBoot ends when all that the boot starts has been started or has failed;
// the service manager may not listen yet when the agent does.
const waitForBoot = `until state=$(systemctl is-system-running --wait) || case $state in ""|offline|initializing|starting) false; esac; do
	sleep 0.1
done`

// booted waits for the boot's end, and returns an error if a unit failed.
func (m *machine) booted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	out, err := m.sh(ctx, waitForBoot+`
		test $state = running || { echo $state; systemctl --failed --no-pager; exit 1; }`)
	if err != nil {
		return fmt.Errorf("cannot boot virtual machine: %w: %s", m.because(err), out)
	}
	return nil
}

// sh runs a shell script, and returns what it printed; that it failed is an error.
func (m *machine) sh(ctx context.Context, script string) (string, error) {
	var out bytes.Buffer
	code, err := m.agent.Run(ctx, agent.Command{Argv: shell(script), Stdout: &out, Stderr: &out})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return strings.TrimRight(out.String(), "\n"), err
}

// shell returns the command for a script whose stdout and stderr are one, so that
// what it prints comes in order.
func shell(script string) []string { return []string{"/bin/bash", "-c", "exec 2>&1\n" + script} }

// put writes a file, with the directories it needs.
func (m *machine) put(ctx context.Context, text []byte, path string, mode uint32) error {
	var out bytes.Buffer
	code, err := m.agent.Run(ctx, agent.Command{
		Argv:  []string{"install", "-D", fmt.Sprintf("-m%o", mode), "/dev/stdin", path},
		Stdin: text, Stdout: &out, Stderr: &out,
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, strings.TrimSpace(out.String()))
	}
	if err != nil {
		return fmt.Errorf("cannot write guest's file %q: %w", path, err)
	}
	return nil
}
