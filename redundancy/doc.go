// Package redundancy compares ways to keep data: none, replicas, RAID-5 in a node, RAID-5
// across nodes, both. For each it starts a live cluster of real nodes on the same emulated
// disks and links, writes the same data, causes the same faults and measures what the
// scheme costs, how fast it is healthy and hurt, how long repair takes and what it moves,
// and what survives, each byte compared.
//
// A cluster is a lab: machines with disks of package slowfs and links of package slownet,
// and client machines with links of their own. What is measured comes from three places:
// the clients' clocks, the counters of disks and links, and the name node's statistics.
// The emulated rates are low on purpose, so that they and not the processors of the machine
// underneath are the limit; each load tells how busy both were. Loss of time between a fault
// and its notice is a setting of the cluster, and is told apart from the repair itself.
package redundancy
