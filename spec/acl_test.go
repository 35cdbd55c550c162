// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"
)

// TestExpr reads expressions as the old program did: from left to right, the last
// item that fits a network wins.
func TestExpr(t *testing.T) {
	for _, tt := range []struct {
		in, kept  string // kept "": as written
		lab, home string // what it says of two networks, by comma
	}{
		{"a", "", "a", "a"},
		{"a,b", "", "a,b", "a,b"},
		{"b,a,b", "", "b,a,b", "b,a,b"},
		{"lab:a", "", "a", ""},
		{"lab:a,b", "", "a,b", ""},
		{"lab:a/home:b", "", "a", "b"},
		{"home:b/lab:a", "", "a", "b"},
		{"a/lab:b", "", "b", "a"},
		{"lab:b/a", "", "a", "a"},
		{"a/b", "", "b", "b"},
		{"lab:a/lab:b", "", "b", ""},
		{"a/lab:", "", "", "a"}, // what lab does by default
		{"lab:/a", "", "a", "a"},
		{"LAB:a", "", "", ""},
		{"labs:a/la:b", "", "", ""},
		{"123:a", "", "", ""},
		{"my lab:a", "", "", ""},
		{" a , b / lab : c ", "a,b/lab:c", "c", "a,b"},
		{"a\n", "a", "a", "a"},
		{"A_1.b-c", "", "A_1.b-c", "A_1.b-c"},
		{strings.Repeat("a", 64), "", strings.Repeat("a", 64), strings.Repeat("a", 64)},
	} {
		e, err := spec.ParseExpr(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if tt.kept == "" {
			tt.kept = tt.in
		}
		if lab, home := strings.Join(e.For("lab"), ","), strings.Join(e.For("home"), ","); string(e) != tt.kept || lab != tt.lab || home != tt.home {
			t.Errorf("%q: kept as %q, for lab %q, for home %q, want %+v", tt.in, e, lab, home, tt)
		}
	}
	if got := spec.Expr("").For("lab"); got != nil {
		t.Errorf("no expression says %q", got)
	}
	if got := spec.Expr("a/lab:b").For(""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("before the network's name is known: %q", got)
	}
}

func TestBadExpr(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "it names no ACL; leave it out"},
		{"  ", "it names no ACL"},
		{"/", `"" is not the name of an ACL`},
		{"a/", `"" is not the name of an ACL (in "a/": ACL[,ACL…] or NETWORK:ACL[,ACL…], several of these joined by /)`},
		{"a//lab:b", `"" is not the name of an ACL`},
		{"a,", `"" is not the name of an ACL`},
		{",a", `"" is not the name of an ACL`},
		{"lab:a,", `"" is not the name of an ACL`},
		{"lab:a:b", `"lab:a:b" has more than one colon`},
		{"a/lab:b:c/d", `"lab:b:c" has more than one colon`},
		{"lab::", `more than one colon`},
		{":a", `":a" names no network before the colon`},
		{" :a", `names no network before the colon`},
		{":", `names no network before the colon`},
		{"la\nb:a", `names no network before the colon`},
		{"l\xffb:a", `names no network before the colon`},
		{"allow all", `"allow all" is not the name of an ACL`},
		{"-a", `"-a" is not the name of an ACL`},
		{"a]", `"a]" is not the name of an ACL`},
		{"a{b", `is not the name of an ACL`},
		{`"a"`, `is not the name of an ACL`},
		{"é", `"é" is not the name of an ACL`},
		{strings.Repeat("a", 65), `is not the name of an ACL`},
	} {
		e, err := spec.ParseExpr(tt.in)
		if err == nil || e != "" || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %q, %v, want %s", tt.in, e, err, tt.want)
		}
	}
}

// TestACLs holds that an ACL which is for another network leaves the default in
// force: the old program took it away.
func TestACLs(t *testing.T) {
	n := spec.Network{Name: "lab", DefaultACL: "deny/home:allow"}
	for _, tt := range []struct {
		own  spec.Expr
		want []string
	}{
		{"", []string{"deny"}},
		{"office", []string{"office"}},
		{"office,log", []string{"office", "log"}},
		{"lab:office", []string{"office"}},
		{"home:office", []string{"deny"}},
		{"office/lab:", []string{"deny"}},
	} {
		if got := (spec.Endpoint{ACL: tt.own}).ACLs(n); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.own, got, tt.want)
		}
	}
	if got := (spec.Endpoint{}).ACLs(spec.Network{Name: "lab", DefaultACL: "home:a"}); got != nil {
		t.Errorf("a default of another network: %q", got)
	}
}
