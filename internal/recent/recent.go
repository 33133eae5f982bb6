// Package recent keeps the few values that were asked for last, such as opened models:
// a server is given ever new ones.
package recent

import (
	"slices"
	"sync"
)

// A Cache keeps the values of the Most keys that were asked for last. What it lets go of
// is left to the garbage collector, for others may still use it.
type Cache[V any] struct {
	Most int // must be positive

	mu      sync.Mutex
	entries []*entry[V] // the last asked for at the end
}

type entry[V any] struct {
	key string
	get func() (V, error)
}

// Get is the value of a key, which open gives if it is not here. Of several that ask for
// a new key at once one opens it and the others wait. An error is not kept.
func (c *Cache[V]) Get(key string, open func() (V, error)) (V, error) {
	e := c.entry(key, open)
	v, err := e.get()
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.entries = slices.DeleteFunc(c.entries, func(o *entry[V]) bool { return o == e })
	}
	return v, err
}

func (c *Cache[V]) entry(key string, open func() (V, error)) *entry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &entry[V]{key, sync.OnceValues(open)}
	if i := slices.IndexFunc(c.entries, func(e *entry[V]) bool { return e.key == key }); i >= 0 {
		e = c.entries[i]
		c.entries = slices.Delete(c.entries, i, i+1)
	} else if len(c.entries) >= c.Most {
		c.entries = slices.Delete(c.entries, 0, len(c.entries)-c.Most+1)
	}
	c.entries = append(c.entries, e)
	return e
}
