// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"dovesnap/faucet/rpc/internal/pb"
)

// recorder is a server that writes down what it was asked.
type recorder struct {
	pb.UnimplementedFaucetConfServerServer
	asked []string
	fail  error
}

func record[T any](r *recorder, request fmt.Stringer, reply *T) (*T, error) {
	r.asked = append(r.asked, strings.Join(strings.Fields(request.String()), " ")) // protobuf varies its spaces
	return reply, r.fail
}

func (r *recorder) GetConfigFile(_ context.Context, q *pb.GetConfigFileRequest) (*pb.GetConfigFileReply, error) {
	return record(r, q, &pb.GetConfigFileReply{ConfigYaml: "dps: {}\n"})
}

func (r *recorder) SetConfigFile(_ context.Context, q *pb.SetConfigFileRequest) (*pb.SetConfigFileReply, error) {
	return record(r, q, &pb.SetConfigFileReply{})
}

func (r *recorder) DelDpInterfaces(_ context.Context, q *pb.DelDpInterfacesRequest) (*pb.DelDpInterfacesReply, error) {
	return record(r, q, &pb.DelDpInterfacesReply{})
}

func (r *recorder) DelDps(_ context.Context, q *pb.DelDpsRequest) (*pb.DelDpsReply, error) {
	return record(r, q, &pb.DelDpsReply{})
}

func (r *recorder) GetAclNames(ctx context.Context, q *pb.GetAclNamesRequest) (*pb.GetAclNamesReply, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, status.Error(codes.Internal, "no deadline")
	}
	return record(r, q, &pb.GetAclNamesReply{AclName: []string{"web", "deny"}})
}

// serve serves r with name's pair of the keys until the test ends, or stop.
func serve(t *testing.T, c *ca, name string, r *recorder, change ...func(*tls.Config)) (address string, stop func()) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.dir, name+".crt"), filepath.Join(c.dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	for _, f := range change {
		f(cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
	pb.RegisterFaucetConfServerServer(s, r)
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	stop = func() { s.Stop(); <-done }
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func TestCalls(t *testing.T) {
	k, r, ctx := keys(t), &recorder{}, context.Background()
	address, _ := serve(t, k, "faucet", r)
	c := k.client(address)
	yaml, err := c.Config(ctx)
	if err != nil || yaml != "dps: {}\n" {
		t.Errorf("Config: %q, %v", yaml, err)
	}
	names, err := c.ACLs(ctx)
	if err != nil || !cmp.Equal(names, []string{"web", "deny"}) {
		t.Errorf("ACLs: %q, %v", names, err)
	}
	for i, err := range []error{
		c.Merge(ctx, "{dps: {}}"),
		c.Merge(ctx, "{}", "dps", `a "net"`),
		c.DeleteDPs(ctx, []string{"net", "other"}),
	} {
		if err != nil {
			t.Error(i, err)
		}
	}
	want := []string{
		``,
		``,
		`config_yaml:"{dps: {}}" merge:true`,
		`config_yaml:"{}" merge:true del_config_yaml_keys:"[\"dps\",\"a \\\"net\\\"\"]"`,
		`interfaces_config:{name:"net"} interfaces_config:{name:"other"}`,
	}
	if diff := cmp.Diff(want, r.asked); diff != "" {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	k, r := keys(t), &recorder{}
	address, _ := serve(t, k, "faucet", r)
	c := k.client(address)
	for _, tt := range []struct{ server, want string }{
		// As the server of version 0.55.79 has it.
		{`peer_ip:127_0_0_1 peer_id:dovesnap request:config_yaml: "{dps: {n: {description: \"an error \\\\ here\"}}}" merge: true error Cannot set FAUCET config: Invalid config: an error x`,
			`Cannot set FAUCET config: Invalid config: an error x`},
		{"peer_ip:127_0_0_1 peer_id:dovesnap request: error YAML error: two\n  lines", `YAML error: two lines`},
		{`Exception calling application: 'net'`, `Exception calling application: 'net'`},
		{`peer_ip: request:"`, `peer_ip: request:"`},
		{strings.Repeat("é", 501), strings.Repeat("é", 500) + "…"},
	} {
		r.fail = status.Error(codes.Unknown, tt.server)
		err := c.Merge(context.Background(), "{}")
		want := `cannot call SetConfigFile of faucetconfrpc at "` + address + `": Unknown: ` + tt.want
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if !errors.Is(err, ErrRefused) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%v: is not ErrRefused", err)
		}
	}
}
