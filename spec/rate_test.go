// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestBitRate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want spec.BitRate
		kbps int
	}{
		{"1000", 1000, 1}, {"1k", 1000, 1}, {"1K", 1000, 1}, {"500k", 500e3, 500}, {"10M", 10e6, 10e3}, {"1.5G", 1.5e9, 1.5e6},
		{"10m", 10e6, 10e3}, {"1.5g", 1.5e9, 1.5e6}, // as "docker run --network" sends them
		{"1999", 1999, 1}, {"1000G", 1e12, 1e9}, {"0.001M", 1000, 1}, {"4.35M", 4.35e6, 4350}, {"1.001k", 1001, 1}, {"0010M", 10e6, 10e3},
	} {
		got, err := spec.ParseBitRate(tt.in)
		if err != nil || got != tt.want || got.Kbps() != tt.kbps {
			t.Errorf("%q: got %d, %d kbit/s, %v", tt.in, got, got.Kbps(), err)
		}
	}
	for _, in := range []string{
		"", "0", "999", "0.9k", "1001G", "1T", "10Mbit", "10 M", "10MM", "M", ".5M", "5.M", "1.2.3M", "-1M", "+1M", "1e6", "1_000k", "0x10k", "inf", "nan", "Infinity", "1,5M",
		strings.Repeat("9", 400) + "k",
	} {
		got, err := spec.ParseBitRate(in)
		if err == nil || got != 0 || !strings.Contains(err.Error(), "is not a rate: bits per second such as 500k, 10M or 1.5G, from 1k to 1000G") {
			t.Errorf("%q: got %d, %v", in, got, err)
		}
	}
}
