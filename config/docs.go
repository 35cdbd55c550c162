// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"strings"
)

const pageHead = `# Configuration

<!-- Generated from the table of package config. Do not edit: change the table, then run "go test ./config -update". -->

dovesnap needs no configuration. What there is to set is in ` + "`" + DefaultFile + "`" + `, and every key has a flag and an environment variable of the same meaning. A flag wins over the environment, which wins over the file, which wins over the default. An unknown key, flag or ` + "`" + envPrefix + "`" + ` variable is an error, and all mistakes are reported at once.

` + "`dovesnap check-config`" + ` checks without starting anything; ` + "`dovesnap check-config --example`" + ` prints a file to begin with. The options of a network are not here but in [options.md](options.md).

Another file is named by ` + "`--config FILE`" + ` or ` + "`" + fileEnv + "`" + `; it must exist. In a list, items are separated by commas on the command line and in the environment. An empty environment variable counts as not set.

| Key | Flag | Environment | Value | Default | Meaning |
|---|---|---|---|---|---|
`

// WriteMarkdown writes docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, s := range settings {
		value := "none"
		if s.value != "" {
			value = "`" + s.value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | `%s` | %s | %s | %s |\n", s.key, s.flag(), s.env(), s.syntax, value, s.help)
	}
	b.WriteString("\n## An example to copy\n\nThis is what `dovesnap check-config --example` prints: every key, with its default.\n\n")
	for _, line := range strings.SplitAfter(example(), "\n") {
		if strings.TrimSpace(line) != "" {
			line = "    " + line
		}
		b.WriteString(line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteExample writes a configuration file in which every key is commented out
// and has its default.
func WriteExample(w io.Writer) error {
	_, err := io.WriteString(w, example())
	return err
}

func example() string {
	var b strings.Builder
	b.WriteString("# Configuration of dovesnap. Every key is optional; the values shown are the\n# defaults. Check a change with: dovesnap check-config\n")
	for i, s := range settings {
		section, name, nested := strings.Cut(s.key, ".")
		indent := "  "
		if !nested {
			name, indent = section, ""
		}
		previous := ""
		if i > 0 {
			previous, _, _ = strings.Cut(settings[i-1].key, ".")
		}
		if section != previous {
			b.WriteString("\n")
			if nested {
				b.WriteString(section + ":\n")
			}
		}
		value := s.value
		if s.list {
			value = "[" + strings.ReplaceAll(value, ",", ", ") + "]"
		}
		fmt.Fprintf(&b, "%s# %s\n%s# Value: %s\n%s#%s: %s\n", indent, plain(s.help), indent, plain(s.syntax), indent, name, value)
	}
	return b.String()
}

// plain takes Markdown's code quotes off.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
