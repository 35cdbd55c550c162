// SPDX-License-Identifier: Apache-2.0

// Command stream checks a TCP connection to the byte:
//
//	stream serve PORT      answers every connection with what it sends
//	stream send HOST:PORT  sends until SIGINT, reads it back, and prints the result
//
// What is sent are numbers, one after the other, a few hundred a second: not a
// load, but never silent. The connection is never made anew; what happens to the
// network must be survived by TCP, or shows.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Result is what send prints, as one line of JSON.
type Result struct {
	// Numbers that came back, each equal to what was sent.
	Numbers uint64 `json:"numbers"`
	// Retransmits are the segments that this end's kernel has sent again.
	Retransmits uint32 `json:"retransmits"`
	// Error says why it ended before it was told to, or what was wrong.
	Error string `json:"error,omitempty"`
}

const (
	between = 5 * time.Millisecond
	// How long a number may take: longer than any restart, since TCP's own patience
	// is what is tested.
	patience = 2 * time.Minute
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: stream serve PORT | stream send HOST:PORT")
	}
	if os.Args[1] == "serve" {
		log.Fatal(serve(os.Args[2]))
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	res := send(os.Args[2], stop)
	_ = json.NewEncoder(os.Stdout).Encode(res)
	if res.Error != "" {
		os.Exit(1)
	}
}

func serve(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with its connection
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// send sends until stop.
func send(address string, stop <-chan os.Signal) (res Result) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		res.Error = err.Error()
		return res
	}
	defer conn.Close()
	fmt.Println("connected")

	var sent uint64
	written := make(chan error)
	go func() { // ends with the signal or conn
		var err error
		sent, err = write(conn, stop)
		written <- err
	}()
	in := bufio.NewReader(conn)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		var n uint64
		err := binary.Read(in, binary.BigEndian, &n)
		if errors.Is(err, io.EOF) {
			break // the other end has no more, or has gone
		}
		if err == nil && n != res.Numbers {
			err = fmt.Errorf("number %d came back as %d", res.Numbers, n)
		}
		if err != nil {
			res.Error = err.Error()
			break
		}
		if res.Numbers == 0 {
			fmt.Println("answered")
		}
		res.Numbers++
	}
	res.Retransmits = retransmits(conn)
	conn.Close()
	switch err := <-written; {
	case res.Error != "":
	case err != nil:
		res.Error = err.Error()
	case sent != res.Numbers:
		res.Error = fmt.Sprintf("%d numbers sent, %d came back", sent, res.Numbers)
	}
	return res
}

// write writes numbers until stop, then closes the connection's sending half, and
// returns how many there were.
func write(conn net.Conn, stop <-chan os.Signal) (sent uint64, err error) {
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		if err := binary.Write(conn, binary.BigEndian, sent); err != nil {
			return sent, err
		}
		sent++
		select {
		case <-stop:
			return sent, conn.(*net.TCPConn).CloseWrite()
		case <-tick.C:
		}
	}
}

func retransmits(conn net.Conn) uint32 {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0
	}
	var total uint32
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			total = info.Total_retrans
		}
	})
	return total
}
