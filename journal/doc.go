// Package journal makes a deterministic state machine durable. It writes every
// proposed record to an edit log in one or more name directories, syncs, applies it,
// and answers: nothing is visible before it is durable, and what was answered survives
// a power cut. From time to time it writes the whole state as an image beside the log,
// while clients go on writing, and drops the log that no kept image needs any more.
//
// # Order of things
//
// One committer gathers the records that wait, appends them as one batch to every name
// directory, and syncs once. The batch is then applied in order under Options.Lock and
// its proposers are answered. While one batch is being applied, the next is being
// synced, and the one after that gathers.
//
// # Directories
//
// Each name directory holds a whole copy:
//
//	DIR/in_use.lock                  held by the process that has it open
//	DIR/current/VERSION              which cluster this is, as key=value lines
//	DIR/current/fsimage_N            the state after transaction N
//	DIR/current/edits_M-N            finished log segment
//	DIR/current/edits_inprogress_M   the segment being written
//
// A directory that fails is dropped, reported, and brought back at the next
// checkpoint. When the last one fails the journal stops for good: Options.OnFatal.
//
// # Recovery
//
// Open loads the newest good image and replays the log behind it. Nothing on disk
// changes before that has succeeded. A torn tail, which is what a power cut leaves of a
// batch nobody was told about, is cut off. Any other damage is first looked for in the
// other directories' copies, and when none is whole, Open refuses with the segment,
// offset and TxID; Inspect and Recover show what can be done about it.
package journal
