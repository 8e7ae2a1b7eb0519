package dfs

// SoftwareVersion is what both servers call themselves. It begins with the version of
// Hadoop whose protocols they speak, since Hadoop's datanodes leave a name node whose
// version they can't compare with their own, or that is older than they can serve.
const SoftwareVersion = "3.4.3-redoubt"
