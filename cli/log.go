// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"dovesnap/config"
)

// newLogger returns the log of log.level and log.format.
func newLogger(c config.Config, stderr io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Log.Level}
	switch {
	case c.Log.Format == config.LogJSON:
		return slog.New(slog.NewJSONHandler(stderr, options))
	case c.Log.Format == config.LogAuto && isJournal(stderr, os.Getenv("JOURNAL_STREAM")):
		options.ReplaceAttr = dropTime
		return slog.New(slog.NewTextHandler(journal{stderr}, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

// isJournal reports whether w is the very stream that stream, $JOURNAL_STREAM
// of systemd.exec(5), names by device and inode: the variable alone is also
// inherited by programs whose output was redirected.
func isJournal(w io.Writer, stream string) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	var device, inode uint64
	if _, err := fmt.Sscanf(stream, "%d:%d", &device, &inode); err != nil {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(stat.Dev) == device && stat.Ino == inode
}

func dropTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// journal turns the level that a line begins with into the priority that
// `journalctl -p` filters by, sd-daemon(3).
type journal struct{ w io.Writer }

func (j journal) Write(line []byte) (int, error) {
	text := append([]byte("<6>"), line...)
	for level, priority := range map[string]byte{"level=DEBUG": '7', "level=WARN": '4', "level=ERROR": '3'} {
		if bytes.HasPrefix(line, []byte(level)) {
			text[1] = priority
		}
	}
	if _, err := j.w.Write(text); err != nil {
		return 0, err
	}
	return len(line), nil
}
