// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"syscall"
	"testing"

	"dovesnap/config"
)

// stream returns a file and the JOURNAL_STREAM that names it.
func stream(t *testing.T) (*os.File, string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return f, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

func TestLogForms(t *testing.T) {
	_, elsewhere := stream(t)
	const textLine = `time=\S+ level=WARN msg=hello network=mynet\n`
	for _, tt := range []struct {
		name    string
		format  config.LogFormat
		level   slog.Level
		journal string // "": this file
		want    string
	}{
		{"journal", config.LogAuto, slog.LevelInfo, "", `<6>level=INFO msg=info\n<4>level=WARN msg=hello network=mynet\n<3>level=ERROR msg=error\n`},
		{"journal, debug", config.LogAuto, slog.LevelDebug, "", `<7>level=DEBUG msg=debug\n<6>(?s:.*)`},
		{"redirected", config.LogAuto, slog.LevelWarn, elsewhere, textLine + `time=\S+ level=ERROR msg=error\n`},
		{"garbage", config.LogAuto, slog.LevelError, "x", `time=\S+ level=ERROR msg=error\n`},
		{"text", config.LogText, slog.LevelWarn, "", textLine + `time=\S+ level=ERROR msg=error\n`},
		{"json", config.LogJSON, slog.LevelError, "", `{"time":"[^"]+","level":"ERROR","msg":"error"}\n`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, journal := stream(t)
			if tt.journal != "" {
				journal = tt.journal
			}
			t.Setenv("JOURNAL_STREAM", journal)
			var c config.Config
			c.Log.Format, c.Log.Level = tt.format, tt.level
			log := newLogger(c, file)
			log.Debug("debug")
			log.Info("info")
			log.Warn("hello", "network", "mynet")
			log.Error("error")
			got, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile("^" + tt.want + "$").Match(got) {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
	if isJournal(new(bytes.Buffer), "1:1") {
		t.Error("a buffer is taken for the journal")
	}
}

func TestDescribe(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, tt := range []struct {
		stamped string
		info    *debug.BuildInfo
		want    string
	}{
		{"1.2.3", info("v9"), "1.2.3"},
		{"1.2.3", nil, "1.2.3"},
		{"", info("v1.2.4"), "v1.2.4"},
		{"", info("(devel)", revision), "0123456789ab"},
		{"", info("", revision, dirty), "0123456789ab+dirty"},
		{"", info("", dirty), "unknown"},
		{"", nil, "unknown"},
	} {
		if got := describe(tt.stamped, tt.info); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.stamped, got, tt.want)
		}
	}
}
