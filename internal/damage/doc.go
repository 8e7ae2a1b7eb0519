// Package damage tries every kind of durable file with every kind of damage, and counts how
// each case ends. It holds no code but its tests: the whole is
// go test ./internal/damage -v, and -damage.long tries every byte.
package damage
