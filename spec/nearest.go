// SPDX-License-Identifier: Apache-2.0

package spec

import "strings"

// Nearest returns the candidate with the smallest edit distance to s: what the
// user probably meant. The first one wins a tie.
func Nearest(s string, candidates []string) string {
	best, distance := "", len(s)+100
	for _, c := range candidates {
		if d := editDistance(s, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// Near returns the candidate that s is nearest to, if it is a slip of the pen away
// from it, or has the same last word or a part of it; else "".
func Near(s string, candidates []string) string {
	var near []string
	for _, c := range candidates {
		word, other := lastWord(s), lastWord(c)
		part := len(word) > 2 && (strings.HasPrefix(other, word) || strings.HasSuffix(other, word))
		if part || editDistance(s, c) <= max(2, len(word)/3) {
			near = append(near, c)
		}
	}
	return Nearest(s, near)
}

func lastWord(s string) string { return s[strings.LastIndex(s, ".")+1:] }

// DidYouMean is the end of a message about something unknown; "" without a guess.
func DidYouMean(guess string) string {
	if guess == "" {
		return ""
	}
	return "; did you mean " + guess + "?"
}

// editDistance counts the insertions, deletions and replacements of bytes that
// turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
