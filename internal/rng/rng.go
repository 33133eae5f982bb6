// Package rng makes the seeded random streams of the lab: a stream is named by a
// seed and a path of numbers, and equal names give equal streams on every
// machine.
package rng

import "math/rand/v2"

// Stream is the stream of that seed and path.
func Stream(seed uint64, path ...uint64) *rand.Rand {
	return rand.New(rand.NewPCG(Key(seed, path...)))
}

// Key is 128 bits for that seed and path, for other generators.
func Key(seed uint64, path ...uint64) (a, b uint64) {
	a, b = mix(seed), mix(^seed)
	for _, p := range path {
		a, b = mix(a^p), mix(b+p)
	}
	return a, b
}

// mix is SplitMix64 (Steele, Lea & Flood 2014): PCG states that differ in a few
// bits would give correlated streams.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
