// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Client is the host's end of a conversation; its methods may be called at the
// same time.
type Client struct {
	// BootID is the guest's (proc_sys_kernel(5)).
	BootID string

	conn    net.Conn
	writing sync.Mutex

	mu    sync.Mutex
	last  uint32
	calls map[uint32]*Call
	err   error // why the conversation has ended
	ended chan struct{}
}

// NewClient says hello on conn, which it owns from now on, and returns when the
// guest has answered, however long that takes.
func NewClient(ctx context.Context, conn net.Conn) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	greeting := frame{hello, helloID, nonce}.bytes()
	// Again and again: the first may be taken for the rest of something.
	answered, repeated := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(repeated)
		for {
			if _, err := conn.Write(greeting); err != nil {
				return
			}
			select {
			case <-answered:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	r := bufio.NewReaderSize(conn, 64<<10)
	c := &Client{conn: conn, calls: map[uint32]*Call{}, ended: make(chan struct{})}
	for {
		body, err := skipTo(r, nonceSize+BootIDSize)
		if err != nil {
			conn.Close()
			close(answered)
			<-repeated
			return nil, fmt.Errorf("cannot reach agent: %w", errors.Join(ctx.Err(), err))
		}
		if bytes.Equal(body[:nonceSize], nonce) {
			c.BootID = string(body[nonceSize:])
			break
		}
	}
	close(answered)
	<-repeated
	go c.receive(r) // ends with conn
	return c, nil
}

// Close ends the conversation, and with it all calls.
func (c *Client) Close() {
	c.conn.Close()
	<-c.ended
}

func (c *Client) receive(r *bufio.Reader) {
	defer close(c.ended)
	for {
		f, err := read(r)
		if err != nil {
			c.conn.Close()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.err = fmt.Errorf("agent has gone: %w", err)
			for id, call := range c.calls {
				delete(c.calls, id)
				call.finish(0, c.err)
			}
			return
		}
		c.mu.Lock()
		call := c.calls[f.id]
		if f.kind == exit {
			delete(c.calls, f.id)
		}
		c.mu.Unlock()
		if call != nil { // else: nobody waits for it any more, or a hello
			call.take(f)
		}
	}
}

// A Command is what to run in the guest.
type Command struct {
	Argv           []string
	Stdin          []byte
	Stdout, Stderr io.Writer // written to by one goroutine; may be the same; nil: dropped
}

// A Call is a command that runs in the guest.
type Call struct {
	c   *Client
	id  uint32
	cmd Command

	mu   sync.Mutex
	over bool
	code int
	err  error
	done chan struct{}
}

// Run runs a command and returns its exit code (128+n: signal n ended it). An
// error means that it did not run, or that its end is not known; when the
// context ends, the command is killed.
func (c *Client) Run(ctx context.Context, cmd Command) (int, error) {
	call, err := c.Start(cmd)
	if err != nil {
		return 0, err
	}
	return call.Wait(ctx)
}

// Start starts a command.
func (c *Client) Start(cmd Command) (*Call, error) {
	return c.start(request{Argv: cmd.Argv}, cmd)
}

// Wake tells a guest that was restored that it is now, and gives it some entropy.
func (c *Client) Wake(ctx context.Context, now time.Time) error {
	seed := make([]byte, 64)
	_, _ = rand.Read(seed) // never fails
	call, err := c.start(request{Unix: float64(now.UnixNano()) / 1e9}, Command{Stdin: seed})
	if err != nil {
		return err
	}
	_, err = call.Wait(ctx)
	return err
}

func (c *Client) start(req request, cmd Command) (*Call, error) {
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	body := append(append(text, '\n'), cmd.Stdin...)
	if len(body) > maxBody {
		return nil, fmt.Errorf("cannot send %d bytes to agent: more than %d", len(body), maxBody)
	}
	cmd.Stdin = nil
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.last++
	started := &Call{c: c, id: c.last, cmd: cmd, done: make(chan struct{})}
	c.calls[started.id] = started
	c.mu.Unlock()
	return started, c.send(frame{call, started.id, body})
}

func (c *Client) send(f frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write(f.bytes())
	return err
}

// Signal sends a signal to the command and what it started.
func (call *Call) Signal(sig syscall.Signal) error {
	return call.c.send(frame{signal, call.id, []byte{byte(sig)}})
}

// Wait waits for the command's end; see Run.
func (call *Call) Wait(ctx context.Context) (int, error) {
	select {
	case <-call.done:
	case <-ctx.Done():
		_ = call.Signal(syscall.SIGKILL)
		call.finish(0, ctx.Err()) // nothing is written to Stdout after this
	}
	return call.code, call.err
}

// Done is closed when the command has ended.
func (call *Call) Done() <-chan struct{} { return call.done }

// take takes a frame from the guest, in the reader's goroutine.
func (call *Call) take(f frame) {
	call.mu.Lock()
	to := map[byte]io.Writer{stdout: call.cmd.Stdout, stderr: call.cmd.Stderr}[f.kind]
	if to != nil && !call.over {
		_, _ = to.Write(f.body) // the writer is a buffer of the caller's
	}
	call.mu.Unlock()
	if f.kind != exit {
		return
	}
	var res result
	err := json.Unmarshal(f.body, &res)
	if err == nil && res.Error != "" {
		err = errors.New(res.Error)
	}
	call.finish(res.Code, err)
}

func (call *Call) finish(code int, err error) {
	call.mu.Lock()
	defer call.mu.Unlock()
	if !call.over {
		call.over, call.code, call.err = true, code, err
		close(call.done)
	}
}
