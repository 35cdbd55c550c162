// SPDX-License-Identifier: Apache-2.0

// Package faucet tells Faucet of our networks and knows what it has taken up.
//
// The contract: Render turns the State into a Config, a pure value; a Courier
// brings it to Faucet, as a file that the operator's faucet.yaml includes or
// through faucetconfrpc, for as long as it takes, and never makes anybody wait.
// Settled tells when a container may be let through: when Faucet cannot have
// another configuration for its port than the one it wants.
//
// Be aware:
//   - Nothing of the operator's is ever written but the one line that Init adds
//     on request.
//   - Faucet's includes replace: a datapath of ours with the name of one of the
//     operator's would silently take its place. So what clashes is left out and
//     reported.
//   - Faucet refuses a configuration as a whole: one ACL that nobody defines would
//     keep every other change from all networks. So a port whose ACL is unknown
//     gets one of our own that drops everything, and is reported.
//   - The first ACL on a datapath adds a table to its pipeline, which Faucet 1.10
//     answers with a cold start of the datapath. So a port without an ACL has one
//     of our own that allows everything, and the table is always there.
//   - VLANs, and acls_out with them, are Faucet's, not a datapath's: all networks
//     of one VLAN share it, the operator's datapaths included.
//   - That Faucet has loaded a file means that the flows are on their way to the
//     switch, not that they are there.
package faucet
