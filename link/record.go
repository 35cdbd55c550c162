// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// record is what one network's bridge carries for the host, in the records'
// directory: see the package comment.
type record struct {
	Network spec.NetworkID `json:"network"`
	NIC     string         `json:"nic"`
	Bridge  struct {
		Name  string `json:"name"`
		Index int    `json:"index"` // one that vanished and came back has another
	} `json:"bridge"`
	Taken int64  `json:"taken"` // seconds since the host booted; lifetimes count from it
	Items []item `json:"items"` // as on the bridge
}

func (l *Links) recordFile(id spec.NetworkID) string {
	return filepath.Join(l.records, id.Short()+".json")
}

// record writes down what the bridge carries, and what is about to move there.
func (l *Links) record(n spec.Network, nic, bridge netlink.Link, there, coming []item) error {
	if l.records == "" {
		return nil
	}
	r := record{Network: n.ID, NIC: nic.Attrs().Name, Taken: sinceBoot()}
	r.Bridge.Name, r.Bridge.Index = n.Bridge, bridge.Attrs().Index
	for _, i := range there {
		r.Items = append(r.Items, i.moved(endOf(bridge), endOf(bridge)))
	}
	for _, i := range coming { // later: its lifetimes are the newer ones
		r.Items = append(r.Items, i.moved(endOf(nic), endOf(bridge)))
	}
	if err := l.at("record"); err != nil {
		return err
	}
	if err := l.write(r); err != nil {
		return fmt.Errorf("cannot write down the addresses of %q: %w", r.NIC, err)
	}
	return nil
}

// half ends the name of a record that is being written. It is always the same name:
// what a crash leaves is overwritten by the next, or goes with the network.
const half = ".new"

// write replaces the file as a whole. It is not synced: it need not outlive the
// kernel, whose links it tells of.
func (l *Links) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.records, 0o755); err != nil {
		return err
	}
	file := l.recordFile(r.Network)
	if err := os.WriteFile(file+half, text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+half, file)
}

// recall reads a network's record; nil when there is none.
func (l *Links) recall(id spec.NetworkID) (*record, error) {
	if l.records == "" {
		return nil, nil
	}
	return readRecord(l.recordFile(id))
}

func readRecord(file string) (*record, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var r record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of moved addresses: %w", err)
	}
	return &r, nil
}

func (l *Links) forget(id spec.NetworkID) error {
	if l.records == "" {
		return nil
	}
	for _, file := range []string{l.recordFile(id), l.recordFile(id) + half} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if left, err := os.ReadDir(l.records); err == nil && len(left) == 0 {
		_ = os.Remove(l.records)
	}
	return nil
}

// replay makes what a record says on a link, but for what has expired.
func (l *Links) replay(ctx context.Context, h rawHandle, r *record, to netlink.Link) error {
	var items []item
	for _, i := range r.Items {
		if i, ok := i.aged(uint32(max(sinceBoot()-r.Taken, 0))); ok {
			items = append(items, i)
		}
	}
	return l.put(ctx, h, items, end{r.Bridge.Name, r.Bridge.Index}, endOf(to))
}

// sinceBoot is the time since the host booted, in seconds, its sleeps included.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return t.Sec
}
