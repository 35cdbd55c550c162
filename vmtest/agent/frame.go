// SPDX-License-Identifier: Apache-2.0

// Package agent is how a test runs commands in a virtual machine without its
// network: a server in the guest and a client on the host, on the two ends of a
// virtio-serial port (any stream will do).
//
// The host calls, with an id for each call; calls run at the same time, each
// in a session (setsid(2)) of its own. What a command prints is passed on as it
// comes.
//
// Be aware:
//   - A port has one client at a time. When a new one says hello, or the old one
//     hangs up, what the old one started is killed.
//   - A command that leaves a daemon behind with its stdout open ends 2 s late.
//   - The stream may hold the rest of an earlier conversation (a rebooted guest
//     stops in the middle of a word): both ends skip what comes before a hello,
//     and the host knows its own by a nonce.
//   - Everything that a call sends to its command's stdin is sent with the call.
package agent

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame on the wire is its kind, its call's id, the length of its body, and
// the body.
type frame struct {
	kind byte
	id   uint32
	body []byte
}

const (
	hello  = 'H' // both ways; body: nonce, from the guest followed by its boot id
	call   = 'C' // to the guest; body: a request as JSON, newline, stdin
	signal = 'S' // to the guest; body: the signal's number, one byte
	stdout = 'O' // from the guest
	stderr = 'E' // from the guest
	exit   = 'X' // from the guest, the call's last; body: a result as JSON
)

var kinds = []byte{hello, call, signal, stdout, stderr, exit}

// errOutOfStep is read's when what it read is no frame's beginning.
var errOutOfStep = errors.New("cannot read frame: there is none")

const (
	headerSize = 9
	nonceSize  = 16
	// Largest body: a package with room to spare, not a lost header's length.
	maxBody = 256 << 20
	// What is sent of a command's output at a time.
	chunk = 32 << 10
)

// helloID is the id of every hello: with the kind and the length of a call for
// one, 9 bytes to find in a stream.
const helloID = 0x646f7665

type request struct {
	Argv []string `json:"argv,omitempty"` // a command; else:
	// Unix is the time in seconds: the guest has slept; the stdin is a seed.
	Unix float64 `json:"unix,omitempty"`
}

type result struct {
	Code  int    `json:"code"`            // exit code; 128+n when signal n ended it
	Error string `json:"error,omitempty"` // why it did not run
}

func (f frame) bytes() []byte {
	b := make([]byte, headerSize, headerSize+len(f.body))
	b[0] = f.kind
	binary.BigEndian.PutUint32(b[1:], f.id)
	binary.BigEndian.PutUint32(b[5:], uint32(len(f.body)))
	return append(b, f.body...)
}

func read(r *bufio.Reader) (frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: header[0], id: binary.BigEndian.Uint32(header[1:])}
	length := binary.BigEndian.Uint32(header[5:])
	if bytes.IndexByte(kinds, f.kind) < 0 || length > maxBody {
		return frame{}, fmt.Errorf("%w %q of %d bytes", errOutOfStep, f.kind, length)
	}
	f.body = make([]byte, length)
	_, err := io.ReadFull(r, f.body)
	return f, err
}

// skipTo reads up to and including the next hello whose body has the given
// length, and returns that body.
func skipTo(r *bufio.Reader, length int) ([]byte, error) {
	header := frame{kind: hello, id: helloID, body: make([]byte, length)}.bytes()[:headerSize]
	var last []byte
	for !bytes.Equal(last, header) {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		last = append(last[max(0, len(last)-headerSize+1):], b)
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}
