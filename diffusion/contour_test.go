package diffusion

import "testing"

// TestContours: lines close, one a piece of the region, and pieces that touch in a
// saddle are kept apart.
func TestContours(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []string // the lowest first; # is inside
		want int
	}{
		{"nothing", []string{"...", "...", "..."}, 0},
		{"everything", []string{"###", "###", "###"}, 1},
		{"one point", []string{"...", ".#.", "..."}, 1},
		{"a hole", []string{"####", "#..#", "#..#", "####"}, 2},
		{"a saddle that rises", []string{"#.", ".#"}, 2},
		{"a saddle that falls", []string{".#", "#."}, 2},
		{"two pieces at the edge", []string{"#.#", "#.#", "#.#"}, 2},
	} {
		f := newField(0, 1, len(tt.rows[0]), len(tt.rows))
		for j, row := range tt.rows {
			for i, c := range row {
				f.set(i+1, j+1, -1)
				if c == '#' {
					f.set(i+1, j+1, 1)
				}
			}
		}
		loops := f.contours()
		if len(loops) != tt.want {
			t.Errorf("%s: %d lines, want %d", tt.name, len(loops), tt.want)
		}
		for _, l := range loops {
			if len(l) < 4 {
				t.Errorf("%s: a line of %d points", tt.name, len(l))
			}
		}
	}
}
