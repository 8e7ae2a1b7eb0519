// Package raid is the arithmetic of RAID-5: where a byte of a striped volume lives
// (Geometry), how parity is made, updated, checked and used to rebuild a lost member
// (Encode, Update, Verify, Reconstruct), and how the CRC32C of parity and of rebuilt data
// follows from the members' checksums without reading the data (ParityCRC, MissingCRC).
// Everything is a pure function on byte slices and numbers: no disk, no clock, no state.
//
// Members of one parity group may differ in length: a shorter one counts as if zeroes
// followed, which is what a last, ragged block needs. Parity is as long as the longest.
package raid
