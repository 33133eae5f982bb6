package diffusion

// Buffers lends arrays of numbers to runs of tapes, and knows how many it had to
// make: what the runs need at their peak. The zero value is ready. It is not safe
// for concurrent use.
type Buffers[T Float] struct {
	free [][]T
	made int
}

// Get lends an array of size numbers, of any content.
func (b *Buffers[T]) Get(size int) []T {
	if b == nil {
		return make([]T, size)
	}
	for i := len(b.free) - 1; i >= 0; i-- {
		if x := b.free[i]; len(x) == size {
			b.free = append(b.free[:i], b.free[i+1:]...)
			return x
		}
	}
	b.made += size
	return make([]T, size)
}

// Put takes an array back, which must not be used any more.
func (b *Buffers[T]) Put(x []T) {
	if b != nil && x != nil {
		b.free = append(b.free, x)
	}
}

// Numbers is how many numbers the arrays hold that were ever lent at one time.
func (b *Buffers[T]) Numbers() int { return b.made }
