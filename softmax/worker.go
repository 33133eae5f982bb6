package softmax

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/assay-lab/assay/internal/kern"
)

const (
	// chunk is how many numbers of a long row are one piece of work. Sums are
	// merged chunk by chunk, whatever the number of threads.
	chunk = 64 * block
	// parallelBytes is the size of x from which more threads help.
	parallelBytes = 256 << 10
	// reloadBytes is the size of x up to which three passes are faster than two.
	reloadBytes = 1 << 20
	// streamBytes is the size of x from which stores bypass the caches.
	streamBytes = 64 << 20
)

// A job is work on rows of cols numbers.
type job[T Float] struct {
	kind  jobKind
	dst   []T
	x, dy []T // dy for the gradients alone
	cols  int
}

type jobKind uint8

const (
	softmaxJob jobKind = iota
	logJob
	sumJob
	backwardJob
	logBackwardJob
)

func (j *job[T]) rows() int {
	if len(j.x) == 0 {
		return 0
	}
	return len(j.x) / j.cols
}

// run does all rows: several at a time, or one by several threads if there are
// few.
func (j *job[T]) run(o Options) error {
	scale, err := check[T](o)
	rows := j.rows()
	if err != nil || rows == 0 {
		return err
	}
	threads := o.Threads
	if len(j.x)*size[T]() < parallelBytes {
		threads = 1
	} else if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	between := min(threads, rows)
	w := worker[T]{algorithm: o.Algorithm, scale: scale, threads: threads / between, keep: o.KeepInCache}
	if between > 1 {
		j.share(w, between)
		return nil
	}
	for r := range rows {
		w.row(j, r)
	}
	return nil
}

// share does all rows on several threads.
func (j *job[T]) share(w worker[T], threads int) {
	// A few rows at a time: short ones should not wait for the counter.
	all := *j // its own copy: j need not be on the heap where nothing is shared
	rows := j.rows()
	step := max(1, min(rows/threads, block/j.cols))
	var next atomic.Int64
	parallel(threads, func() {
		own := w
		for {
			hi := int(next.Add(int64(step)))
			lo := hi - step
			if lo >= rows {
				return
			}
			for r := lo; r < min(hi, rows); r++ {
				own.row(&all, r)
			}
		}
	})
}

// A worker does rows one after the other.
type worker[T Float] struct {
	algorithm Algorithm
	scale     T   // of x
	threads   int // for one row
	keep      bool
	tmp       []T // a block
}

// row does row r of a job.
func (w *worker[T]) row(j *job[T], r int) {
	lo, hi := r*j.cols, (r+1)*j.cols
	x := j.x[lo:hi]
	switch j.kind {
	case softmaxJob:
		w.softmax(j.dst[lo:hi], x)
	case logJob:
		w.logSoftmax(j.dst[lo:hi], x)
	case sumJob:
		j.dst[r] = T(w.sum(x).log())
	case backwardJob:
		w.backward(j.dst[lo:hi], x, j.dy[lo:hi])
	case logBackwardJob:
		w.logBackward(j.dst[lo:hi], x, j.dy[lo:hi])
	}
}

// parallel runs f on n goroutines, this one among them.
func parallel(n int, f func()) {
	var wg sync.WaitGroup
	for range n - 1 {
		wg.Go(f)
	}
	f()
	wg.Wait()
}

func size[T Float]() int {
	var x T
	return int(unsafe.Sizeof(x))
}

// chunks calls f for every chunk of n numbers, on several threads.
func chunks[T Float](w worker[T], n int, f func(w *worker[T], i, lo, hi int)) {
	count := (n + chunk - 1) / chunk
	var next atomic.Int64
	parallel(min(w.threads, count), func() {
		own := w
		own.threads, own.tmp = 1, nil
		for {
			i := int(next.Add(1)) - 1
			if i >= count {
				return
			}
			f(&own, i, i*chunk, min((i+1)*chunk, n))
		}
	})
}

// alone is whether a row of n numbers is not to be shared.
func (w *worker[T]) alone(n int) bool { return w.threads <= 1 || n <= chunk }

// view is a block of x less top, scaled, in x itself or in the worker's storage.
func (w *worker[T]) view(x []T, top T) []T {
	if w.scale == 1 && top == 0 {
		return x
	}
	y := w.storage(len(x))
	if top != 0 {
		kern.Shift(y, x, top, 0)
	} else {
		copy(y, x)
	}
	if w.scale != 1 {
		kern.Scale(y, w.scale)
	}
	return y
}

// max is the largest number that is not NaN.
func (w *worker[T]) max(x []T) T {
	if w.alone(len(x)) {
		return kern.Max(x)
	}
	tops := make([]T, (len(x)+chunk-1)/chunk)
	chunks(*w, len(x), func(_ *worker[T], i, lo, hi int) { tops[i] = kern.Max(x[lo:hi]) })
	return kern.Max(tops)
}

// A pass adds up exponentials, of x less top, scaled.
type pass[T Float] struct {
	kind passKind
	e    T // their common exponent, unless kind is extended or online
	top  T
}

type passKind uint8

const (
	extended passKind = iota // exponents kept with every number
	online                   // the exponent of a block's maximum
	fixed                    // one exponent
	storing                  // and write them to dst
	near                     // that, with the exponent 0
)

// block is the sum of one block, already scaled.
func (p pass[T]) block(dst, x []T) Ext {
	switch p.kind {
	case extended:
		m, e := kern.SumExt(x)
		return Ext{m, e}
	case online:
		e := kern.ExtOf(max(kern.Max(x), kern.ExtLowest))
		return Ext{kern.SumAt(x, e), float64(e)}
	case storing:
		return Ext{kern.StoreAt(dst, x, p.e), float64(p.e)}
	case near:
		return Ext{M: kern.StoreNear(dst, x)}
	default:
		return Ext{kern.SumAt(x, p.e), float64(p.e)}
	}
}

// add is the sum over x, in chunks, whoever does them.
func (w *worker[T]) add(p pass[T], dst, x []T) (s Ext) {
	switch {
	case len(x) == 0:
		return s
	case len(x) <= block:
		return p.block(dst, w.view(x, p.top))
	case w.alone(len(x)):
		for lo := 0; lo < len(x); lo += chunk {
			s = s.Add(w.addChunk(p, dst, x, lo))
		}
		return s
	}
	sums := make([]Ext, (len(x)+chunk-1)/chunk)
	chunks(*w, len(x), func(w *worker[T], i, lo, _ int) { sums[i] = w.addChunk(p, dst, x, lo) })
	for _, c := range sums {
		s = s.Add(c)
	}
	return s
}

// addChunk is the sum of the chunk at lo.
func (w *worker[T]) addChunk(p pass[T], dst, x []T, lo int) (s Ext) {
	hi := min(lo+chunk, len(x))
	var to []T
	for at := lo; at < hi; at += block {
		end := min(at+block, hi)
		if p.kind >= storing {
			to = dst[at:end]
		}
		s = s.Add(p.block(to, w.view(x[at:end], p.top)))
	}
	return s
}

// write is dst = f·2^−e·e^(x−top) for all x.
func (w *worker[T]) write(dst, x []T, f, e float64, top T) {
	stream := !w.keep && len(x)*size[T]() >= streamBytes && &dst[0] != &x[0]
	if w.alone(len(x)) {
		w.writePart(dst, x, f, e, top, stream)
		return
	}
	chunks(*w, len(x), func(w *worker[T], _, lo, hi int) { w.writePart(dst[lo:hi], x[lo:hi], f, e, top, stream) })
}

func (w *worker[T]) writePart(dst, x []T, f, e float64, top T, stream bool) {
	if w.scale == 1 && top == 0 {
		kern.ScaleExt(dst, x, T(f), T(e), stream)
		return
	}
	for lo := 0; lo < len(x); lo += block {
		hi := min(lo+block, len(x))
		kern.ScaleExt(dst[lo:hi], w.view(x[lo:hi], top), T(f), T(e), stream)
	}
}

// good is whether the sum is right: the numbers were not too large.
func good(s Ext) bool { return s.M > 0 && !math.IsInf(s.M, 1) && finite(s.E) }

// sum is Σ e^x.
func (w *worker[T]) sum(x []T) sum {
	if s := w.add(pass[T]{kind: extended}, nil, x); good(s) {
		return sum{m: s.M, e: s.E}
	}
	return w.sumLarge(x)
}

// sumLarge takes any numbers: x less the largest is exact for those of them that
// count, since all are large.
func (w *worker[T]) sumLarge(x []T) sum {
	top := w.max(x)
	if math.IsInf(float64(top), 0) || len(x) == 0 {
		m := 0.0 // nothing but −∞
		for _, v := range x {
			if v != v {
				return sum{m: math.NaN()}
			}
			if math.IsInf(float64(v), 1) {
				m = math.Inf(1)
			}
		}
		return sum{m: m}
	}
	s := w.add(pass[T]{kind: fixed, top: top}, nil, x)
	return sum{m: s.M, top: float64(top), scale: float64(w.scale)}
}

// softmaxLarge is softmax of any numbers.
func (w *worker[T]) softmaxLarge(dst, x []T) {
	s := w.sumLarge(x)
	if !(s.m > 0) || math.IsInf(s.m, 1) {
		nan(dst)
		return
	}
	w.write(dst, x, 1/s.m, 0, T(s.top))
}

// softmax is one row.
func (w *worker[T]) softmax(dst, x []T) {
	bytes := len(x) * size[T]()
	algorithm := w.algorithm
	if algorithm == Auto {
		if algorithm = ThreePassReload; bytes > reloadBytes {
			algorithm = TwoPass
		}
	}
	var s Ext
	switch algorithm {
	case TwoPass:
		s = w.add(pass[T]{kind: extended}, nil, x)
	case Online:
		s = w.add(pass[T]{kind: online}, nil, x)
	default:
		top := w.max(x) * w.scale
		e := kern.ExtOf(top)
		switch {
		case !finite(float64(e)):
		case algorithm == ThreePassReload && top >= 0 && top <= kern.NearMost: // results lose nothing
			w.reload(pass[T]{kind: near}, dst, x)
			return
		case algorithm == ThreePassReload:
			w.reload(pass[T]{kind: storing, e: e}, dst, x)
			return
		default:
			s = w.add(pass[T]{kind: fixed, e: e}, nil, x)
		}
	}
	if !good(s) {
		w.softmaxLarge(dst, x)
		return
	}
	w.write(dst, x, 1/s.M, s.E, 0)
}

// reload writes exponentials and scales them.
func (w *worker[T]) reload(p pass[T], dst, x []T) {
	s := w.add(p, dst, x)
	if !good(s) { // NaN: the maximum does not see it
		nan(dst)
		return
	}
	f := T(1 / s.M)
	if w.alone(len(x)) {
		kern.Scale(dst, f)
		return
	}
	chunks(*w, len(x), func(_ *worker[T], _, lo, hi int) { kern.Scale(dst[lo:hi], f) })
}

// logSoftmax is one row: x less the logarithm of the sum, in parts, of which one
// is near x.
func (w *worker[T]) logSoftmax(dst, x []T) {
	s := w.sum(x)
	if !(s.m > 0) || math.IsInf(s.m, 1) {
		nan(dst)
		return
	}
	hi, lo := T(0), math.Log(s.m)
	if s.top == 0 {
		hi = T(s.e * math.Ln2)
		lo += math.FMA(s.e, math.Ln2, -float64(hi)) + s.e*ln2Lo
	}
	if w.alone(len(x)) {
		w.shift(dst, x, T(s.top), hi, T(lo))
		return
	}
	chunks(*w, len(x), func(w *worker[T], _, from, to int) { w.shift(dst[from:to], x[from:to], T(s.top), hi, T(lo)) })
}

// shift is dst = ((x − top)·scale − hi) − lo.
func (w *worker[T]) shift(dst, x []T, top, hi, lo T) {
	for at := 0; at < len(x); at += block {
		end := min(at+block, len(x))
		kern.Shift(dst[at:end], w.view(x[at:end], top), hi, lo)
	}
}

// backward is dx = y·dy − (Σ y·dy)·y, block by block: dx may be y or dy.
func (w *worker[T]) backward(dx, y, dy []T) {
	dot := T(kern.Dot(y, dy))
	for lo := 0; lo < len(y); lo += block {
		hi := min(lo+block, len(y))
		t := w.storage(hi - lo)
		kern.Shift(t, dy[lo:hi], dot, 0)
		kern.CombCols(dx[lo:hi], [][]T{y[lo:hi]}, [][]T{t})
	}
}

// logBackward is dx = dy − e^logy·Σ dy.
func (w *worker[T]) logBackward(dx, logy, dy []T) {
	var total float64
	for lo := 0; lo < len(dy); lo += block {
		hi := min(lo+block, len(dy))
		var s float64
		for _, v := range dy[lo:hi] {
			s += float64(v)
		}
		total += s
	}
	for lo := 0; lo < len(logy); lo += block {
		hi := min(lo+block, len(logy))
		t := w.storage(hi - lo)
		kern.Exp(t, logy[lo:hi])
		kern.Comb(dx[lo:hi], []T{1, T(-total)}, [][]T{dy[lo:hi], t})
	}
}

func (w *worker[T]) storage(n int) []T {
	if w.tmp == nil {
		w.tmp = make([]T, block)
	}
	return w.tmp[:n]
}
