// Package authorize says who may open which connection: service level authorization by
// the ACLs of hadoop-policy.xml, and which users may act for which others from where
// (hadoop.proxyuser.*). The keys, their meaning and the texts of refusals are Hadoop's.
//
// Without configuration every user may speak every protocol, and nobody may act for
// another.
package authorize
