package kern

// The assembly (zz_*_amd64.s) and its declarations are written by a module of
// its own, so that users of this one do not depend on the assembler.
//
//go:generate go -C gen run . -dir ..
