// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// logPattern makes the children write what splitLine reads (ovs-appctl(8),
// "vlog/set PATTERN"): sequence, module, level, message.
const logPattern = "%05N|%c|%p|%m"

// tail carries a child's output file into our log, and keeps the file small. It
// reads the file by name each time: whoever moves or deletes it costs a few
// lines, no more.
type tail struct {
	path  string
	limit int64
	log   *slog.Logger
	pos   int64
	rest  string // a line not yet ended
}

// newTail begins at the present end: what is there was logged by the dovesnap
// that wrote it.
func newTail(path string, limit int64, log *slog.Logger) *tail {
	t := &tail{path: path, limit: limit, log: log}
	if st, err := os.Stat(path); err == nil {
		t.pos = st.Size()
	}
	return t
}

func (t *tail) run(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.read(ctx)
		}
	}
}

func (t *tail) read(ctx context.Context) {
	f, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if err != nil {
		return // not begun
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() == t.pos {
		return
	}
	if st.Size() < t.pos { // emptied
		t.pos, t.rest = 0, ""
	}
	chunk, err := io.ReadAll(io.NewSectionReader(f, t.pos, min(st.Size()-t.pos, 1<<20)))
	if err != nil {
		return
	}
	t.pos += int64(len(chunk))
	lines := strings.Split(t.rest+string(chunk), "\n")
	t.rest = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		level, msg := splitLine(line)
		t.log.Log(ctx, level, msg)
	}
	// The children append (O_APPEND), so that after this they write at 0.
	if t.pos > t.limit && t.pos == st.Size() && f.Truncate(0) == nil {
		t.pos, t.rest = 0, ""
	}
}

// splitLine maps Open vSwitch's levels to ours; a line in another form, such as
// a complaint about an option, is a warning.
func splitLine(line string) (slog.Level, string) {
	f := strings.SplitN(line, "|", 4)
	if len(f) < 4 {
		return slog.LevelWarn, line
	}
	msg := f[1] + ": " + f[3]
	switch f[2] {
	case "EMER", "ERR":
		return slog.LevelError, msg
	case "WARN":
		return slog.LevelWarn, msg
	case "DBG":
		return slog.LevelDebug, msg
	}
	return slog.LevelInfo, msg
}

// lastWords are the last lines of a file after from, as one: what a daemon said
// before it ended. Informational lines say nothing about that.
func lastWords(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	if st.Size() < from {
		from = 0
	}
	from = max(from, st.Size()-16<<10)
	b, err := io.ReadAll(io.NewSectionReader(f, from, st.Size()-from))
	if err != nil {
		return ""
	}
	var words []string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if level, msg := splitLine(line); line != "" && level >= slog.LevelWarn {
			words = append(words, msg)
		}
	}
	return strings.Join(words[max(0, len(words)-5):], "; ")
}
