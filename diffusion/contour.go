package diffusion

// A field is numbers on a grid of nx × ny points with spacing h, and around them one
// more ring of points that count as outside, so that every contour closes.
type field struct {
	min    complex128
	h      float64
	nx, ny int
	v      []float64
}

func newField(min complex128, h float64, nx, ny int) *field {
	f := &field{min, h, nx, ny, make([]float64, (nx+2)*(ny+2))}
	for i := range f.v {
		f.v[i] = -1e-9 // just outside: the contour runs along the window's edge
	}
	return f
}

func (f *field) at(i, j int) float64     { return f.v[i*(f.ny+2)+j] }
func (f *field) set(i, j int, v float64) { f.v[i*(f.ny+2)+j] = v }

// point is where index (i, j) stands; inner points count from 1. The ring stands on
// the window's edge.
func (f *field) point(i, j int) complex128 {
	i, j = min(max(i, 1), f.nx), min(max(j, 1), f.ny)
	return f.min + complex(float64(i-1)*f.h, float64(j-1)*f.h)
}

// An edge of the grid is its lower left point and whether it goes up.
type edge struct {
	i, j int
	up   bool
}

// cross is where the field is 0 on an edge.
func (f *field) cross(e edge) complex128 {
	i, j := e.i+1, e.j
	if e.up {
		i, j = e.i, e.j+1
	}
	a, b := f.at(e.i, e.j), f.at(i, j)
	p, q := f.point(e.i, e.j), f.point(i, j)
	return p + complex(a/(a-b), 0)*(q-p)
}

// contours are the closed lines where the field is 0, by marching squares: every cell
// with corners of both signs has one piece of line or two, from edge to edge.
func (f *field) contours() [][]complex128 {
	next := map[edge][]edge{}
	join := func(a, b edge) { next[a], next[b] = append(next[a], b), append(next[b], a) }
	for i := 0; i <= f.nx; i++ {
		for j := 0; j <= f.ny; j++ {
			bottom, top := edge{i, j, false}, edge{i, j + 1, false}
			left, right := edge{i, j, true}, edge{i + 1, j, true}
			var cut []edge
			for _, c := range []struct {
				e    edge
				a, b float64
			}{
				{bottom, f.at(i, j), f.at(i+1, j)}, {right, f.at(i+1, j), f.at(i+1, j+1)},
				{top, f.at(i, j+1), f.at(i+1, j+1)}, {left, f.at(i, j), f.at(i, j+1)},
			} {
				if (c.a >= 0) != (c.b >= 0) {
					cut = append(cut, c.e)
				}
			}
			switch len(cut) {
			case 2:
				join(cut[0], cut[1])
			case 4: // a saddle: the corners that are in are kept apart
				if f.at(i, j) >= 0 {
					join(bottom, left)
					join(top, right)
				} else {
					join(bottom, right)
					join(top, left)
				}
			}
		}
	}
	return f.link(next)
}

// link follows pieces of line round to where they began. Cells are gone through in
// order, so that the result does not depend on the map's.
func (f *field) link(next map[edge][]edge) [][]complex128 {
	var loops [][]complex128
	done := map[edge]bool{}
	for i := 0; i <= f.nx+1; i++ {
		for j := 0; j <= f.ny+1; j++ {
			for _, e := range []edge{{i, j, false}, {i, j, true}} {
				if len(next[e]) == 0 || done[e] {
					continue
				}
				var loop []complex128
				for more := true; more; {
					loop = append(loop, f.cross(e))
					done[e] = true
					more = false
					for _, n := range next[e] {
						if !done[n] {
							e, more = n, true
							break
						}
					}
				}
				loops = append(loops, loop)
			}
		}
	}
	return loops
}
