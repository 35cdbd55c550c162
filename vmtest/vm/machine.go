// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"dovesnap/vmtest/agent"
)

// A machine is a disk, a directory for what one qemu needs while it runs, and
// that qemu when it does.
type machine struct {
	dir    string // console.log, sockets
	kernel string // directory with vmlinuz and initrd
	disk   string // qcow2
	link   *link

	qemu  *os.Process
	ended chan struct{} // closed when qemu has
	agent *agent.Client
}

// A link is one end of a cable between two machines: datagrams, a frame each,
// between two unix sockets.
type link struct{ local, remote string }

// hardware is every machine's, and part of a saved state's key: such a state only
// fits the same hardware of the same qemu.
//
// Nehalem is the least that today's software wants, and so the quickest to
// emulate. Without cmpxchg16b, which qemu 7.2 emulates with a stale cc_op: the
// flags are garbage until the next instruction that sets them, and an interrupt in
// between makes them stay, which kernels from 6.12 on, whose allocator is full of
// it, do not survive for a minute. thread=multi is a thread per processor.
var hardware = []string{
	"-nodefaults", "-no-user-config", "-display", "none",
	"-machine", "q35", "-cpu", "Nehalem,-cx16", "-smp", "2", "-m", "1280",
	"-accel", "tcg,thread=multi,tb-size=512",
	"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
	"-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet loglevel=4 mitigations=off " +
		"tsc=reliable random.trust_cpu=on audit=0 selinux=0 apparmor=0 nowatchdog systemd.show_status=0",
}

// start starts qemu: a boot, or with a saved state its continuation.
//
// The disk is written with cache=unsafe: qemu does not ask this machine's disk to
// keep what the guest flushed, but has handed it to this machine's kernel, which
// outlives qemu. So to kill qemu is a power cut as guests know it: what was
// flushed is there (qcow2's own tables are written with a flush), what was not may
// be missing.
func (m *machine) start(ctx context.Context, state string) error {
	// Sockets that listen already: nobody has to wait for qemu to make them.
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	listen := func(name string) (string, error) {
		path := filepath.Join(m.dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			return "", err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		file, err := l.File()
		files = append(files, file)
		return fmt.Sprintf("socket,id=%s,fd=%d,server=on,wait=off", name, 2+len(files)), err
	}
	agentPort, err := listen("agent")
	if err != nil {
		return err
	}
	qmpPort, err := listen("qmp")
	if err != nil {
		return err
	}
	cable := "hubport,id=net1,hubid=1" // plugged into nothing
	if m.link != nil {
		_ = os.Remove(m.link.local) // of an earlier qemu
		cable = "dgram,id=net1,local.type=unix,local.path=" + m.link.local +
			",remote.type=unix,remote.path=" + m.link.remote
	}
	argv := append([]string{"qemu-system-x86_64"}, hardware...)
	argv = append(argv,
		"-kernel", filepath.Join(m.kernel, "vmlinuz"), "-initrd", filepath.Join(m.kernel, "initrd"),
		"-drive", "file="+m.disk+",if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap",
		"-device", "virtio-blk-pci,drive=disk",
		// restrict: to nowhere, not to this machine's network.
		"-netdev", "user,id=net0,restrict=on", "-device", "virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01,romfile=",
		"-netdev", cable, "-device", "virtio-net-pci,netdev=net1,mac=52:54:00:00:01:01,romfile=",
		"-chardev", agentPort, "-device", "virtserialport,chardev=agent,name=vmagent",
		"-chardev", qmpPort, "-mon", "chardev=qmp,mode=control",
		"-chardev", "file,id=console,append=on,path="+filepath.Join(m.dir, "console.log"), "-serial", "chardev:console",
	)
	if state != "" {
		argv = append(argv, "-incoming", "exec:cat '"+state+"'")
	}
	if err := m.launch(argv, files); err != nil {
		return err
	}
	if err := m.settle(ctx, state != ""); err != nil {
		return errors.Join(err, m.kill())
	}
	return nil
}

// settle returns when the agent answers.
func (m *machine) settle(ctx context.Context, restored bool) error {
	if restored {
		q, err := dialQMP(ctx, filepath.Join(m.dir, "qmp"))
		if err != nil {
			return m.because(err)
		}
		defer q.conn.Close()
		if _, err := q.status(ctx, "query-status", "inmigrate"); err != nil {
			return m.because(err)
		}
		if err := q.run("cont", nil, nil); err != nil {
			return err
		}
	}
	if err := m.connect(ctx); err != nil || !restored {
		return err
	}
	return m.agent.Wake(ctx, time.Now())
}

// launch starts qemu, which dies with this process, however that dies.
func (m *machine) launch(argv []string, files []*os.File) error {
	log, err := os.OpenFile(filepath.Join(m.dir, "qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	m.ended = make(chan struct{})
	go func() {
		// Pdeathsig is sent when the thread ends that started qemu, so that thread
		// does nothing else than wait for qemu (prctl(2); golang.org/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(m.ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot start qemu: %w", err)
	}
	m.qemu = cmd.Process
	return nil
}

// because returns err with what is known to be wrong with the machine.
func (m *machine) because(err error) error {
	select {
	case <-m.ended:
		text, _ := os.ReadFile(filepath.Join(m.dir, "qemu.log"))
		err = fmt.Errorf("%w; qemu has ended: %s", err, strings.TrimSpace(string(text)))
	default:
	}
	console, _ := os.ReadFile(filepath.Join(m.dir, "console.log"))
	for _, line := range strings.Split(string(console), "\n") {
		if strings.Contains(line, "Kernel panic") || strings.Contains(line, "Oops") || strings.Contains(line, "BUG:") {
			return fmt.Errorf("%w; the guest's kernel has failed: %s", err, strings.TrimSpace(line))
		}
	}
	return err
}

// connect begins a conversation with the agent, in place of an earlier one.
func (m *machine) connect(ctx context.Context) error {
	if m.agent != nil {
		m.agent.Close()
		m.agent = nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func(ended chan struct{}) {
		select {
		case <-ended:
			cancel(errors.New("qemu has ended"))
		case <-ctx.Done():
		}
	}(m.ended)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(m.dir, "agent"))
	if err == nil {
		m.agent, err = agent.NewClient(ctx, conn)
	}
	if err != nil {
		return m.because(err)
	}
	return nil
}

// reconnect returns when the agent answers in another boot than before.
func (m *machine) reconnect(ctx context.Context, before string) error {
	for {
		// The old boot's agent may answer, and go; so may its hello come late.
		brief, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := m.connect(brief)
		cancel()
		if err == nil && m.agent.BootID != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-m.ended:
			return m.because(errors.New("cannot reach agent"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// kill ends qemu at once.
func (m *machine) kill() error {
	if m.agent != nil {
		m.agent.Close()
		m.agent = nil
	}
	if m.qemu == nil {
		return nil
	}
	err := m.qemu.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-m.ended
	m.qemu = nil
	return err
}

// save writes the machine's state to a file, and ends it: disk and state together
// are the machine, to be continued any number of times.
func (m *machine) save(ctx context.Context, path string) error {
	m.agent.Close()
	m.agent = nil
	q, err := dialQMP(ctx, filepath.Join(m.dir, "qmp"))
	if err != nil {
		return err
	}
	defer q.conn.Close()
	for _, step := range []struct {
		command   string
		arguments map[string]any
	}{
		{"stop", nil},
		{"migrate-set-parameters", map[string]any{"max-bandwidth": 1 << 40}},
		{"migrate", map[string]any{"uri": "exec:cat >'" + path + "'"}},
	} {
		if err := q.run(step.command, step.arguments, nil); err != nil {
			return err
		}
	}
	status, err := q.status(ctx, "query-migrate", "setup", "active", "device", "")
	if err != nil {
		return err
	}
	if status != "completed" {
		return fmt.Errorf("cannot save state %q: %s", path, status)
	}
	// qcow2's tables are written when the disk is closed.
	if err := q.run("quit", nil, nil); err != nil {
		return err
	}
	select {
	case <-m.ended:
		m.qemu = nil
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), m.kill())
	}
}
