// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"dovesnap/whole"
)

// notOurs is why our file must not be written: what is there is somebody else's.
type notOurs struct{ file, why string }

func (n notOurs) Error() string { return fmt.Sprintf("cannot write %q: %s", n.file, n.why) }

// own refuses a name for our file that is the operator's file by any way, or can
// be no file.
func own(config, file string) error {
	info, err := os.Stat(file)
	switch {
	case same(config, file):
		return notOurs{file, "it is your own configuration of Faucet (faucet.config): give faucet.file another name"}
	case err == nil && info.IsDir():
		return notOurs{file, "it is a directory: give faucet.file the name of a file"}
	case err == nil && !info.Mode().IsRegular():
		return notOurs{file, "it is not a plain file: give faucet.file another name"}
	}
	return nil
}

// same reports whether two paths lead to one file, or would.
func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	return realpath(a) == realpath(b)
}

// readOwn returns the text of our file, "" when there is none. What does not begin
// as we begin it is not ours, neither to write nor to know what Faucet has.
func readOwn(config, file string) (string, error) {
	if err := own(config, file); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("cannot read %q: %w", file, whole.Cause(err))
	case len(text) > 0 && !strings.HasPrefix(string(text), fileMark):
		return "", notOurs{file, "it is not dovesnap's: remove it, or give faucet.file another name"}
	}
	return string(text), nil
}
