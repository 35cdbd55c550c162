// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// BootIDSize is the length of a boot id (proc_sys_kernel(5)).
const BootIDSize = 36

// Serve answers one client after another on port, until reading it fails with
// anything but io.EOF, which a virtio port returns while nobody is connected.
func Serve(port io.ReadWriter) error {
	for {
		s := &session{port: port, running: map[uint32]*os.Process{}}
		err := s.serve(bufio.NewReaderSize(port, 64<<10))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errOutOfStep) {
			return err
		}
		// Nothing tells when somebody connects, but that reading works again.
		<-time.After(10 * time.Millisecond)
	}
}

// A session is a conversation with one client.
type session struct {
	writing sync.Mutex
	port    io.Writer

	mu      sync.Mutex
	running map[uint32]*os.Process // by call id
}

func (s *session) serve(r *bufio.Reader) error {
	defer s.killAll()
	nonce, err := skipTo(r, nonceSize)
	if err != nil {
		return err
	}
	if err := s.welcome(nonce); err != nil {
		return err
	}
	for {
		f, err := read(r)
		if err != nil {
			return err
		}
		switch f.kind {
		case hello:
			if !bytes.Equal(f.body, nonce) {
				s.killAll()
				nonce = f.body
			}
			if err := s.welcome(nonce); err != nil {
				return err
			}
		case call:
			s.take(f)
		case signal:
			if len(f.body) == 1 {
				s.signal(f.id, syscall.Signal(f.body[0]))
			}
		}
	}
}

func (s *session) welcome(nonce []byte) error {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	body := append(bytes.Clone(nonce), strings.TrimSpace(string(id))...)
	return s.send(frame{hello, helloID, body})
}

func (s *session) send(f frame) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.port.Write(f.bytes())
	return err
}

// take starts what a call asks for; the rest happens beside the conversation.
func (s *session) take(f frame) {
	var req request
	text, stdin, _ := bytes.Cut(f.body, []byte("\n"))
	err := json.Unmarshal(text, &req)
	switch {
	case err != nil:
	case len(req.Argv) == 0:
		err = wake(req.Unix, stdin)
	default:
		var cmd *exec.Cmd
		if cmd, err = s.start(f.id, req.Argv, stdin); err == nil {
			go s.await(f.id, cmd) // ends with the command, which killAll ends
			return
		}
	}
	s.finish(f.id, 0, err)
}

func (s *session) finish(id uint32, code int, err error) {
	res := result{Code: code}
	if err != nil {
		res.Error = err.Error()
	}
	body, _ := json.Marshal(res)      // a number and a string
	_ = s.send(frame{exit, id, body}) // serve learns of a broken port
}

func (s *session) start(id uint32, argv []string, stdin []byte) (*exec.Cmd, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/root"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // and so a process group, to be signalled as one
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = output{s, stdout, id}, output{s, stderr, id}
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[id] = cmd.Process
	return cmd, nil
}

func (s *session) await(id uint32, cmd *exec.Cmd) {
	err := cmd.Wait()
	s.mu.Lock()
	delete(s.running, id)
	s.mu.Unlock()
	if cmd.ProcessState == nil {
		s.finish(id, 0, err)
		return
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	s.finish(id, code, nil)
}

// signal signals a call's session: the command and what it started.
func (s *session) signal(id uint32, sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.running[id]; p != nil {
		_ = syscall.Kill(-p.Pid, sig)
	}
}

func (s *session) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.running {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
}

// An output passes on what a command prints.
type output struct {
	s    *session
	kind byte
	id   uint32
}

func (o output) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := o.s.send(frame{o.kind, o.id, rest[:n]}); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// OpenPort opens the virtio-serial port with a name, as soon as it is there.
func OpenPort(ctx context.Context, name string) (*os.File, error) {
	for {
		// devtmpfs has the port by number; udev's links by name may come late.
		ports, _ := os.ReadDir("/sys/class/virtio-ports")
		for _, port := range ports {
			text, _ := os.ReadFile("/sys/class/virtio-ports/" + port.Name() + "/name")
			if strings.TrimSpace(string(text)) == name {
				return os.OpenFile("/dev/"+port.Name(), os.O_RDWR, 0)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
