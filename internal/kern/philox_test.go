package kern

import "testing"

// TestPhilox compares with Random123's known answers.
func TestPhilox(t *testing.T) {
	for _, tt := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, [2]uint32{1<<32 - 1, 1<<32 - 1}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		join := func(lo, hi uint32) uint64 { return uint64(hi)<<32 | uint64(lo) }
		keys := philoxKeys(join(tt.key[0], tt.key[1]))
		a, b := philox(&keys, join(tt.counter[0], tt.counter[1]), join(tt.counter[2], tt.counter[3]))
		if a != join(tt.want[0], tt.want[1]) || b != join(tt.want[2], tt.want[3]) {
			t.Errorf("counter %x, key %x: %x %x, want %x", tt.counter, tt.key, a, b, tt.want)
		}
	}
}

// TestNormalEnds: the ends of the uniform numbers give finite normal ones.
func TestNormalEnds(t *testing.T) {
	for _, w := range []uint64{0, 1<<64 - 1, 1 << 63, 1<<64 - 1<<12, 1<<12 - 1} {
		for _, v := range []uint64{0, 1<<64 - 1, 1, 2, 4, 1<<64 - 8} {
			z0, z1 := normalPair(w, v)
			if r := z0*z0 + z1*z1; !(r <= 72.1) { // 104 ln 2
				t.Errorf("words %x and %x: %g, %g", w, v, z0, z1)
			}
		}
	}
}
