// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo listens and gives its first connection to answer.
func echo(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			answer(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestSend(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(net.Conn)
		err    string
	}{
		{"unbroken", func(c net.Conn) { _, _ = io.Copy(c, c) }, ""},
		{"the other end goes", func(c net.Conn) { _, _ = io.CopyN(c, c, 80) }, "closed"},
		{"a byte is changed", func(c net.Conn) {
			_, _ = io.CopyN(c, c, 80)
			_, _ = c.Write([]byte("12345678"))
			_, _ = io.Copy(io.Discard, c)
		}, "number 10 came back as"},
		{"some is missing", func(c net.Conn) {
			_, _ = io.CopyN(c, c, 80)
			_, _ = io.Copy(io.Discard, c)
		}, "numbers sent, 10 came back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stop := make(chan os.Signal, 1)
			timer := time.AfterFunc(200*time.Millisecond, func() { stop <- os.Interrupt })
			defer timer.Stop()
			res := send(echo(t, test.answer), stop)
			if test.err == "" && (res.Error != "" || res.Numbers == 0) || !strings.Contains(res.Error, test.err) {
				t.Errorf("got %+v, want error %q", res, test.err)
			}
		})
	}
}
