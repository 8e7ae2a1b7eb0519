// Package tidy holds the house rules that a compiler does not check: which package may
// import which, which calls are banned and what to use instead, how long a function or
// file may grow. The rules are tests, so that breaking one breaks the build; the few
// places that break one on purpose are listed by name beside the rule.
package tidy
