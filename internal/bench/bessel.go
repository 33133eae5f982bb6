package main

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/assay-lab/assay/special"
)

func init() { suites["bessel"] = logBessel }

//go:embed c/boost.cpp
var boostSource []byte

// boost compiles what calls Boost's functions.
func (s *session) boost() (library, error) {
	if _, err := exec.LookPath("g++"); err != nil {
		return 0, errors.New("no g++")
	}
	source, so := filepath.Join(s.dir, "boost.cpp"), filepath.Join(s.dir, "boost.so")
	if err := os.WriteFile(source, boostSource, 0o666); err != nil {
		return 0, err
	}
	if err := exec.Command("g++", "-O3", "-march=native", "-shared", "-fPIC", "-o", so, source).Run(); err != nil {
		return 0, errors.New("g++ does not find its headers")
	}
	return openLibrary(so)
}

// A scipy is a Python process that times SciPy's functions on arrays sent to it.
type scipy struct {
	in  io.WriteCloser
	out io.Reader
	cmd *exec.Cmd
}

const scipyScript = `
import struct, sys, time
import numpy as np
from scipy.special import ive, kve
np.seterr(all='ignore')
r, w = sys.stdin.buffer, sys.stdout.buffer
w.write(b'!'); w.flush()
while True:
    h = r.read(16)
    if len(h) < 16:
        break
    second, n = struct.unpack('<qq', h)
    v, x = (np.frombuffer(r.read(8 * n), '<f8') for _ in range(2))
    f = (lambda: np.log(kve(v, x)) - x) if second else (lambda: np.log(ive(v, x)) + x)
    t = []
    for _ in range(7):
        a = time.thread_time()
        y = f()
        t.append(time.thread_time() - a)
    w.write(struct.pack('<d', sorted(t)[len(t) // 2]) + y.astype('<f8').tobytes())
    w.flush()
`

// startSciPy finds a Python that has SciPy.
func startSciPy() (*scipy, error) {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		cmd := exec.Command(name, "-c", scipyScript)
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if cmd.Start() != nil {
			continue
		}
		if _, err := io.ReadFull(out, make([]byte, 1)); err == nil {
			return &scipy{in, out, cmd}, nil
		}
		in.Close()
		cmd.Wait()
	}
	return nil, errors.New("no python3 with scipy")
}

// time gives the median time and the values.
func (p *scipy) time(second bool, v, x []float64) (time.Duration, []float64, error) {
	header := []int64{0, int64(len(v))}
	if second {
		header[0] = 1
	}
	for _, part := range []any{header, v, x} {
		if err := binary.Write(p.in, binary.LittleEndian, part); err != nil {
			return 0, nil, err
		}
	}
	y := make([]float64, 1+len(v))
	if err := binary.Read(p.out, binary.LittleEndian, y); err != nil {
		return 0, nil, err
	}
	return time.Duration(y[0] * 1e9), y[1:], nil
}

func (p *scipy) close() {
	p.in.Close()
	p.cmd.Wait()
}

// besselPoints is how many values a cell of the grid has: they fit into the cache.
const besselPoints = 4096

// besselPeers are the rivals of one function; nil where they are not there.
type besselPeers struct {
	boost *library
	scipy *scipy
}

// logBessel times log I and log K on the paper's range, a decade of v and of x at
// a time.
func logBessel(s *session) error {
	var peers besselPeers
	if lib, err := s.boost(); err != nil {
		s.skip("Boost", err)
	} else {
		peers.boost = &lib
	}
	if p, err := startSciPy(); err != nil {
		s.skip("SciPy", err)
	} else {
		defer p.close()
		peers.scipy = p
	}
	full := s.time
	s.time = full / 50 // 70 cells
	defer func() { s.time = full }()
	for _, second := range []bool{false, true} {
		if err := s.besselGrid(second, peers); err != nil {
			return err
		}
	}
	return nil
}

// time gives nanoseconds a value, and for how many of the points: some take Boost
// a million steps.
func (l library) time(symbol string, dst, v, x []float64) (n int, ns float64) {
	const few, turn = 16, 2 * time.Millisecond
	d := clock(l.rival("Boost", symbol, dst, v, x, few), 1)
	n = min(len(v), max(few, int(few*turn/max(d, 1))))
	r := l.rival("Boost", symbol, dst, v, x, n)
	var times []float64
	for range 5 {
		times = append(times, float64(clock(r, 1).Nanoseconds())/float64(n))
	}
	_, mid, _ := quartiles(times)
	return n, mid
}

// A tally gathers one rival over the cells.
type tally struct {
	name   string
	ns     [][]float64 // by decade of v
	ratios []float64   // its time over ours, a cell each
	sound  []float64   // those of cells where it has an answer everywhere
	worst  float64     // largest error of its answers
	none   float64     // parts of cells that are not finite
}

func (t *tally) add(decade int, ns, ours float64, y, want, v, x []float64) {
	for len(t.ns) <= decade {
		t.ns = append(t.ns, nil)
	}
	t.ns[decade] = append(t.ns[decade], ns)
	t.ratios = append(t.ratios, ns/ours)
	bad := 0
	for i, w := range want {
		if math.IsNaN(y[i]) || math.IsInf(y[i], 0) {
			bad++
			continue
		}
		t.worst = max(t.worst, math.Abs(y[i]-w)/max(math.Abs(w), math.Hypot(v[i], x[i])))
	}
	if t.none += float64(bad) / float64(len(want)); bad == 0 {
		t.sound = append(t.sound, ns/ours)
	}
}

func (s *session) besselGrid(second bool, peers besselPeers) error {
	one, many, symbol, title := special.LogI, special.LogIs, "log_i", "log I"
	if second {
		one, many, symbol, title = special.LogK, special.LogKs, "log_k", "log K"
	}
	const decades, columns = 7, 10
	random := rand.New(rand.NewPCG(1, 2))
	v, x, dst, want := make([]float64, besselPoints), make([]float64, besselPoints), make([]float64, besselPoints), make([]float64, besselPoints)
	tallies := []*tally{{name: "LogIs"}, {name: "LogI"}, {name: "Boost"}, {name: "SciPy"}}
	if second {
		tallies[0].name, tallies[1].name = "LogKs", "LogK"
	}
	for i := range decades * columns {
		for j := range v {
			v[j] = math.Pow(10, float64(i/columns)-2+random.Float64())
			x[j] = math.Pow(10, float64(i%columns)-4+random.Float64())
			want[j] = one(v[j], x[j])
		}
		rivals := []rival{
			{tallies[0].name, repeat(func() {
				if _, err := many(dst, v, x); err != nil {
					panic(err)
				}
			})},
			{tallies[1].name, repeat(func() {
				for j := range dst {
					dst[j] = one(v[j], x[j])
				}
			})},
		}
		times := s.compare(rivals)
		ours := float64(times[0].median.Nanoseconds()) / besselPoints
		for k, r := range rivals {
			r.run(1)
			tallies[k].add(i/columns, float64(times[k].median.Nanoseconds())/besselPoints, ours, dst, want, v, x)
		}
		if peers.boost != nil {
			n, ns := peers.boost.time(symbol, dst, v, x)
			tallies[2].add(i/columns, ns, ours, dst[:n], want[:n], v, x)
		}
		if peers.scipy != nil {
			t, y, err := peers.scipy.time(second, v, x)
			if err != nil {
				return err
			}
			tallies[3].add(i/columns, float64(t.Nanoseconds())/besselPoints, ours, y, want, v, x)
		}
	}
	s.besselTable(title, tallies)
	return nil
}

func (s *session) besselTable(title string, tallies []*tally) {
	fmt.Fprintf(s.out, "\n## %s, nanoseconds a value\n\nMedians over decades of x from 0.0001 to 1,000,000, for the decade of v that begins there.\n\n| |", title)
	for d := range tallies[0].ns {
		fmt.Fprintf(s.out, " %g |", math.Pow(10, float64(d-2)))
	}
	fmt.Fprint(s.out, " time over ours | where all finite | not finite | error |\n|---|")
	for range tallies[0].ns {
		fmt.Fprint(s.out, "---|")
	}
	fmt.Fprint(s.out, "---|---|---|---|\n")
	for _, t := range tallies {
		if len(t.ratios) == 0 {
			continue
		}
		fmt.Fprintf(s.out, "| %s |", t.name)
		for _, ns := range t.ns {
			_, mid, _ := quartiles(ns)
			fmt.Fprintf(s.out, " %.1f |", mid)
		}
		cells := len(t.ratios)
		fmt.Fprintf(s.out, " %s | %s | %.0f %% | %.1g |\n", span(t.ratios), span(t.sound), 100*t.none/float64(cells), t.worst)
	}
}

// span is the median, the least and the most.
func span(x []float64) string {
	if len(x) == 0 {
		return "–"
	}
	lo, hi := x[0], x[0]
	for _, r := range x {
		lo, hi = min(lo, r), max(hi, r)
	}
	_, mid, _ := quartiles(x)
	return fmt.Sprintf("%.1f (%.1f to %.1f)", mid, lo, hi)
}
