// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// end is a link that items are on.
type end struct {
	name  string
	index int
}

// moved is the item as it is to be made on another link.
func (i item) moved(from, to end) item {
	out := item{Kind: i.Kind, Head: bytes.Clone(i.Head)}
	if i.Kind == unix.RTM_NEWADDR {
		binary.NativeEndian.PutUint32(out.Head[addrIndex:], uint32(to.index))
	} else {
		flags := binary.NativeEndian.Uint32(i.Head[routeFlags:])
		binary.NativeEndian.PutUint32(out.Head[routeFlags:], flags&unix.RTNH_F_ONLINK) // the others are states
	}
	for _, a := range i.Attrs {
		a.Value = bytes.Clone(a.Value)
		if i.Kind == unix.RTM_NEWADDR {
			out.Attrs = append(out.Attrs, movedAddr(a, from, to))
		} else if a, ok := i.movedRoute(a, from, to); ok {
			out.Attrs = append(out.Attrs, a)
		}
	}
	return out
}

func movedAddr(a attr, from, to end) attr {
	switch a.Type {
	case unix.IFA_LABEL:
		a.Value = append([]byte(relabel(string(bytes.TrimRight(a.Value, "\x00")), from.name, to.name)), 0)
	case unix.IFA_FLAGS:
		const states = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_PERMANENT | unix.IFA_F_SECONDARY | unix.IFA_F_DEPRECATED
		binary.NativeEndian.PutUint32(a.Value, binary.NativeEndian.Uint32(a.Value)&^states)
	}
	return a
}

// relabel gives an IPv4 address the label that it would have on the other link.
// One that would be too long stays, and so does on the way back.
func relabel(label, from, to string) string {
	rest, ok := strings.CutPrefix(label, from)
	if !ok || rest != "" && rest[0] != ':' || len(to)+len(rest) >= unix.IFNAMSIZ {
		return label
	}
	return to + rest
}

func (i item) movedRoute(a attr, from, to end) (attr, bool) {
	switch a.Type & typeMask {
	case unix.RTA_OIF:
		if int(binary.NativeEndian.Uint32(a.Value)) == from.index {
			binary.NativeEndian.PutUint32(a.Value, uint32(to.index))
		}
	case unix.RTA_CACHEINFO:
		// It cannot be set; what is in it can.
		a = attr{unix.RTA_EXPIRES, binary.NativeEndian.AppendUint32(nil, i.expires())}
		return a, i.expires() > 0
	case unix.RTA_MULTIPATH:
		var hops []byte
		eachHop(a.Value, func(hop []byte) {
			hop = slices.Clone(hop)
			hop[hopFlags] &= unix.RTNH_F_ONLINK
			mine := int(binary.NativeEndian.Uint32(hop[hopIndex:])) == from.index
			if mine {
				binary.NativeEndian.PutUint32(hop[hopIndex:], uint32(to.index))
			}
			// IPv4's is one route, IPv6's a route for each hop.
			if mine || i.family() == unix.AF_INET {
				hops = append(hops, hop...)
				hops = append(hops, make([]byte, (4-len(hop)%4)%4)...)
			}
		})
		a.Value = hops
	}
	return a, true
}

// flagged is an address with some flags set and others cleared.
func (i item) flagged(set, clear uint32) item {
	i.Attrs = slices.Clone(i.Attrs)
	for k, a := range i.Attrs {
		if a.Type == unix.IFA_FLAGS {
			f := binary.NativeEndian.Uint32(a.Value)
			i.Attrs[k].Value = binary.NativeEndian.AppendUint32(nil, f&^clear|set)
		}
	}
	return i
}

// aged is an item whose lifetimes were told so many seconds ago; false when it has
// not lived that long.
func (i item) aged(seconds uint32) (item, bool) {
	const preferred, valid, forever = 0, 4, 1<<32 - 1 // offsets in struct ifa_cacheinfo
	i.Attrs = slices.Clone(i.Attrs)
	for k, a := range i.Attrs {
		offsets := []int{0} // RTA_EXPIRES
		switch {
		case i.Kind == unix.RTM_NEWADDR && a.Type == unix.IFA_CACHEINFO:
			offsets = []int{preferred, valid}
		case i.Kind == unix.RTM_NEWADDR || a.Type != unix.RTA_EXPIRES:
			continue
		}
		v := bytes.Clone(a.Value)
		for _, o := range offsets {
			left := binary.NativeEndian.Uint32(v[o:])
			if left == forever {
				continue
			}
			left -= min(left, seconds)
			binary.NativeEndian.PutUint32(v[o:], left)
			if left == 0 && o == offsets[len(offsets)-1] {
				return item{}, false
			}
		}
		i.Attrs[k].Value = v
	}
	return i, true
}
