// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"dovesnap/faucet/rpc/internal/pb"
)

var ours protoreflect.FileDescriptor = pb.File_faucetconfrpc_proto

// TestGenerated: internal/pb is of this faucetconfrpc.proto; else: make generate.
func TestGenerated(t *testing.T) {
	text, err := os.ReadFile("faucetconfrpc.proto")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	in := ""
	for _, line := range strings.Split(regexp.MustCompile(`(?m)//.*$`).ReplaceAllString(string(text), ""), "\n") {
		line = strings.TrimSuffix(strings.Join(strings.Fields(line), " "), ";")
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "", "}", "syntax", "package", "option":
		case "message", "service":
			in = strings.TrimSuffix(rest, " {")
			want = append(want, word+" "+in)
		default:
			want = append(want, in+": "+line)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, describe(ours)); diff != "" {
		t.Error("internal/pb is not of faucetconfrpc.proto; make generate: " + diff)
	}
	if name := ours.Package(); !strings.Contains(string(text), fmt.Sprintf("package %s;", name)) {
		t.Errorf("package %s", name)
	}
}

// TestServersProto: what faucetconfrpc.proto says is so in the server.
func TestServersProto(t *testing.T) {
	program := os.Getenv("DOVESNAP_FAUCETCONFRPC")
	if program == "" {
		t.Skip("DOVESNAP_FAUCETCONFRPC is not set")
	}
	out, err := exec.Command(filepath.Join(filepath.Dir(program), "python"), "-c",
		"import sys; from faucetconfrpc import faucetconfrpc_pb2 as p; sys.stdout.buffer.write(p.DESCRIPTOR.serialized_pb)").Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	file, err := protodesc.NewFile(&theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := describe(file)
	for _, line := range describe(ours) {
		if !slices.Contains(server, line) {
			t.Errorf("the server does not have: %s", line)
		}
	}
	if file.Package() != ours.Package() {
		t.Errorf("the server's package is %s", file.Package())
	}
}

// describe returns a line for everything in a .proto, in the order of the text.
func describe(file protoreflect.FileDescriptor) []string {
	var out []string
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		out = append(out, fmt.Sprintf("message %s", m.Name()))
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			kind := f.Kind().String()
			if f.Message() != nil {
				kind = string(f.Message().Name())
			}
			if f.IsList() {
				kind = "repeated " + kind
			}
			out = append(out, fmt.Sprintf("%s: %s %s = %d", m.Name(), kind, f.Name(), f.Number()))
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		out = append(out, fmt.Sprintf("service %s", s.Name()))
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			out = append(out, fmt.Sprintf("%s: rpc %s(%s) returns (%s) {}", s.Name(), m.Name(), m.Input().Name(), m.Output().Name()))
		}
	}
	slices.Sort(out)
	return out
}
